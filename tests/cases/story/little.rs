//! A server without dependencies: answers each request with its edition.
use std::io::{BufRead, BufReader, Write};

fn main() {
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    println!("little: up");
    for mut client in listener.incoming().flatten() {
        let mut head = BufReader::new(client.try_clone().unwrap()).lines();
        while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let text = "EDITION";
        let length = text.len();
        let _ = write!(client, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
    }
}
