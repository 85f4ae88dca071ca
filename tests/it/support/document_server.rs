//! The server from which the example server fetches documents. It holds documents back until the test
//! releases them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What the upstream does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Sends half of the document, and the rest once [`Upstream::release`] is called.
    Hold,
    /// Reads the request and never answers.
    Silent,
    /// Sends half of the document and nothing more, the connection open.
    Stall,
    /// Sends half of the document and closes.
    Cut,
    /// Sends half of the document and resets the connection.
    Reset,
    /// Answers 500.
    Refuse,
}

/// The size of each document in bytes.
pub(crate) const SIZE: usize = 1 << 20;

#[derive(Debug, Default)]
struct State {
    /// Requests whose first half was sent.
    halfway: usize,
    released: bool,
}

/// A running upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Upstream {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new((Mutex::default(), Condvar::new()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(client, behaviour, &shared));
            }
        });
        Self { address, state }
    }

    /// The number of documents of which the first half is sent.
    pub(crate) fn halfway(&self) -> usize {
        self.state.0.lock().unwrap().halfway
    }

    /// Lets the server send the rest of all documents, now and later.
    pub(crate) fn release(&self) {
        self.state.0.lock().unwrap().released = true;
        self.state.1.notify_all();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.release();
    }
}

/// The document of a tender: the same bytes for the same id.
pub(crate) fn document(id: &str) -> Vec<u8> {
    let mut state =
        id.bytes().fold(7_u32, |state, byte| state.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bytes.take(SIZE).collect()
}

fn answer(client: TcpStream, behaviour: Behaviour, state: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::from("head");
    while !line.trim_end().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let id = request.split(['/', '.']).nth(2).unwrap_or_default();
    let mut client = reader.into_inner();
    match behaviour {
        Behaviour::Silent => forever(),
        Behaviour::Refuse => {
            return client
                .write_all(b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
        _ => {}
    }
    let document = document(id);
    let (first, second) = document.split_at(SIZE / 2);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\ncontent-length: {SIZE}\r\nconnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    client.write_all(first)?;
    state.0.lock().unwrap().halfway += 1;
    match behaviour {
        Behaviour::Hold => {
            let held = state.1.wait_while(state.0.lock().unwrap(), |state| !state.released);
            drop(held);
            client.write_all(second)
        }
        Behaviour::Stall => forever(),
        Behaviour::Reset => {
            // A close without lingering is a reset.
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))
        }
        _ => Ok(()),
    }
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}
