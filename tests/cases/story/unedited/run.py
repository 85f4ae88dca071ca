"""Starts the portal, as the founding story did."""
from src.app import app

if __name__ == "__main__":
    app.run(debug=True, reloader_type='stat')
