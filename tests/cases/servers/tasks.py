from celery import Celery

from held import posted, released

VERSION = "1"
FOLDERS = {"data_folder_in": "data/queue", "data_folder_out": "data/queue", "control_folder": "data/control"}
app = Celery("tasks", broker="filesystem://", broker_transport_options=FOLDERS)


@app.task
def slow():
    posted("begun by " + VERSION)
    released()
    posted("finished by " + VERSION)
