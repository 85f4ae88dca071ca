//! Vite and Next.js behind the proxy.

use crate::servers::served::Served;
use crate::servers::websocket::{Frame, WebSocket};
use crate::support::http::{Opened, get};
use crate::support::sandbox::wait_for;

/// The WebSocket that tells a browser which modules of Vite have changed.
fn hmr(served: &Served) -> WebSocket {
    let client = get(served.address, "/@vite/client").unwrap().text();
    let token = client.split("wsToken = \"").nth(1).expect("a token").split('"').next().unwrap();
    let headers = [&*format!("Origin: http://{}", served.address), "Sec-WebSocket-Protocol: vite-hmr"];
    let mut socket = WebSocket::open(served.address, &format!("/?token={token}"), &headers).unwrap();
    socket.receive_with("\"connected\"");
    socket
}

fn edit_component(served: &Served, from: &str, to: &str) {
    let source = std::fs::read_to_string(served.sandbox.path("src/App.jsx")).unwrap();
    served.sandbox.write("src/App.jsx", source.replace(from, to));
}

/// Vite handles the edits of components. devrun restarts Vite for all other files, and the browser's WebSocket
/// comes back to the new one. Vite refuses to run twice, so generations take turns.
#[test]
#[ignore = "needs node with the packages of .ci/node"]
fn vite_with_react_keeps_its_hmr_and_restarts() {
    let command = ["npx", "vite", "--port", "{port}", "--strictPort"];
    let options = ["--proxy", "ADDRESS", "-i", "/src/"];
    let mut served = Served::start("vite/version.txt", &options, &command);
    let mut socket = hmr(&served);
    // Vite updates the modules that a page has loaded.
    let component = |text: &str| {
        get(served.address, "/src/main.jsx").unwrap();
        get(served.address, "/src/App.jsx").unwrap().text().contains(text)
    };
    assert!(component("first"));
    edit_component(&served, "first", "second");
    assert!(socket.receive_with("\"update\"").contains("/src/App.jsx"));
    assert!(component("second"));
    served.edit("2");
    assert_eq!(std::iter::from_fn(|| socket.receive()).last(), Some(Frame::Close(1012)));
    served.wait_for("2");
    let mut socket = hmr(&served);
    assert!(component("second"));
    edit_component(&served, "second", "third");
    assert!(socket.receive_with("\"update\"").contains("/src/App.jsx"));
    assert!(component("third"));
    served.running.stop();
}

/// Next.js builds the address of a redirect from its own port. The client is sent to the proxy.
#[test]
#[ignore = "needs node with the packages of .ci/node"]
fn a_redirect_of_next_stays_at_the_proxy() {
    let command = ["npx", "next", "dev", "--port", "{port}"];
    let telemetry = ["--env", "NEXT_TELEMETRY_DISABLED=1"];
    let options = [&["--proxy", "ADDRESS", "-i", "/app/"], &telemetry[..]].concat();
    let mut served = Served::start("next/version.txt", &options, &command);
    for version in ["1", "2"] {
        served.edit(version);
        served.wait_for(version);
        let redirect = get(served.address, "/go").unwrap();
        let location = format!("http://{}/login", served.address);
        assert_eq!((redirect.status, redirect.header("location")), (307, Some(&*location)));
        let mut socket = wait_for("the HMR WebSocket opens", || {
            let origin = format!("Origin: http://localhost:{}", served.address.port());
            WebSocket::open(served.address, "/_next/hmr?id=1", &[&origin])
        });
        assert!(matches!(socket.receive(), Some(Frame::Text(_))));
    }
    let page = Opened::get(served.address, "/", &["Connection: close"]).unwrap().finish().unwrap();
    assert!(page.text().contains("home"));
    served.running.stop();
}
