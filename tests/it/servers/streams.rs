//! Answers that arrive in pieces, and messages of Socket.IO, across an edit.

use std::net::SocketAddr;

use crate::servers::served::Served;
use crate::servers::websocket::{Frame, WebSocket};
use crate::support::http::{Answer, Lost, Opened, get, post};

/// A POST is answered by twelve events, as by a chat with a language model. Four have arrived when the code is
/// edited. The other eight come from the old generation after new code serves.
fn a_chat_is_completed(source: &'static str, command: &[&str]) {
    let mut served = Served::start(source, &["--proxy", "ADDRESS"], command);
    let headers = ["Connection: close", "Content-Type: application/json", "Content-Length: 2"];
    let mut chat = Opened::ask(served.address, "POST", "/chat", &headers, "{}").unwrap();
    assert_eq!(chat.status, 200);
    let fourth = chat.line_with("data: 4").expect("the first four events");
    assert_eq!(fourth, "data: 4");
    served.edit("2");
    served.wait_for("2");
    served.sandbox.write("data/release", "");
    // The rest begins within a chunk, so it is read as it comes over the connection. A whole body ends with the
    // last chunk.
    let rest = String::from_utf8(chat.rest()).unwrap();
    let events = rest.lines().filter_map(|line| line.strip_prefix("data: "));
    let wanted: Vec<String> = (5..=12).map(|number| number.to_string()).collect();
    assert_eq!(events.collect::<Vec<_>>(), wanted, "{rest}\n{}", served.output());
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest:?}");
    served.running.stop();
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_chat_with_flask_is_completed() {
    let app = "chat_flask";
    let command = ["PYTHON", "-m", "flask", "--app", app, "run", "--no-reload", "--port", "{port}"];
    a_chat_is_completed("chat_flask.py", &command);
}

#[test]
#[ignore = "needs Python with FastAPI"]
fn a_chat_with_fastapi_is_completed() {
    let command = ["PYTHON", "-m", "uvicorn", "chat_fastapi:app", "--port", "{port}"];
    a_chat_is_completed("chat_fastapi.py", &command);
}

#[test]
#[ignore = "needs node with the packages of .ci/node"]
fn a_chat_with_express_is_completed() {
    a_chat_is_completed("express/chat.mjs", &["node", "chat.mjs"]);
}

/// A Socket.IO client over long polling. Each method is one request, or a few.
struct Polling {
    address: SocketAddr,
    path: String,
}

impl Polling {
    fn connect(address: SocketAddr) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling";
        let opened = get(address, path).unwrap().text();
        let id = opened.split("\"sid\":\"").nth(1).expect(&opened).split('"').next().unwrap();
        let client = Self { address, path: format!("{path}&sid={id}") };
        assert_eq!(client.post("40"), 200);
        assert!(client.poll().unwrap().text().starts_with("40"));
        client
    }

    fn post(&self, packet: &str) -> u16 {
        post(self.address, &self.path, packet).unwrap().status
    }

    fn say(&self, text: &str) -> u16 {
        self.post(&said(text))
    }

    /// Waits for the next packets.
    fn poll(&self) -> Result<Answer, Lost> {
        get(self.address, &self.path)
    }
}

/// The packet with an event that the server answers.
fn said(text: &str) -> String {
    format!("42[\"say\",\"{text}\"]")
}

/// The messages that the server has received.
fn received(served: &Served) -> Vec<String> {
    let posts = std::fs::read_to_string(served.sandbox.path("data/posts")).unwrap();
    posts.lines().map(str::to_owned).collect()
}

/// The server of this test answers a poll only with a message. So the poll ends because devrun moves it to the
/// new generation. A client whose message was accepted finds it handled, and no message is handled twice.
#[test]
#[ignore = "needs Python with Flask-SocketIO"]
fn no_message_of_socket_io_over_long_polling_is_lost() {
    let mut served =
        Served::start("socketio_app.py", &["--proxy", "ADDRESS"], &["PYTHON", "socketio_app.py"]);
    let mut client = Polling::connect(served.address);
    let (mut accepted, mut versions) = (Vec::new(), Vec::new());
    for number in 0..20 {
        if number == 5 {
            let (address, path) = (client.address, client.path.clone());
            let hanging = std::thread::spawn(move || get(address, &path));
            served.edit("2");
            let ended = hanging.join().unwrap();
            assert!(ended.as_ref().is_ok_and(|answer| answer.status == 400), "{ended:?}");
        }
        let text = format!("message {number}");
        // A client in a browser also connects again and repeats a refused message.
        while client.say(&text) != 200 {
            client = Polling::connect(served.address);
        }
        accepted.push(text.clone());
        let answer = client.poll().unwrap().text();
        assert!(answer.contains(&text), "{answer}\n{}", served.output());
        versions.push(answer.contains("\"1 "));
    }
    assert_eq!(received(&served), accepted, "{}", served.output());
    assert_eq!(versions, (0..20).map(|number| number < 5).collect::<Vec<_>>(), "{}", served.output());
    served.running.stop();
}

fn connected(address: SocketAddr) -> WebSocket {
    let mut socket = WebSocket::open(address, "/socket.io/?EIO=4&transport=websocket", &[]).unwrap();
    socket.receive_with("0{");
    socket.send("40");
    socket.receive_with("40{");
    socket
}

/// A client sends message after message. The closing frame tells it when to connect again, and only the message
/// that was on its way then has no answer.
#[test]
#[ignore = "needs Python with Flask-SocketIO"]
fn no_message_of_socket_io_over_websocket_is_lost() {
    let mut served =
        Served::start("socketio_app.py", &["--proxy", "ADDRESS"], &["PYTHON", "socketio_app.py"]);
    let mut socket = connected(served.address);
    let mut sent = Vec::new();
    let mut unanswered = None;
    served.edit("2");
    while unanswered.is_none() {
        let text = format!("message {}", sent.len());
        socket.send(&said(&text));
        match socket.receive() {
            Some(Frame::Text(answer)) => assert!(answer.contains(&format!("\"1 {text}\"")), "{answer}"),
            Some(Frame::Close(1012)) => unanswered = Some(text.clone()),
            other => panic!("{other:?}\n{}", served.output()),
        }
        sent.push(text);
    }
    served.wait_for("2");
    let mut socket = connected(served.address);
    let unanswered = unanswered.unwrap();
    socket.send(&said(&unanswered));
    assert!(socket.receive_with("said").contains(&format!("\"2 {unanswered}\"")));
    let mut received = received(&served);
    received.dedup();
    assert_eq!(received, sent, "{}", served.output());
    served.running.stop();
}
