//! Cost of the proxy: the same requests directly to a server, through devrun, and through nginx if installed.
//!
//! All run on one machine at the same time. Compare the ratios, because the numbers depend on the machine.
//!
//! ```console
//! $ cargo bench --bench proxy
//! ```
//!
//! devrun and nginx have the same settings: keep-alive for clients, and a new connection to the server for
//! each request.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use devrun::GenerationId;
use devrun::proxy::{Event, Options, Proxy, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SMALL_BODY_SIZE: usize = 1024;
const LARGE_BODY_SIZE: usize = 256 * 1024 * 1024;
const LOAD_TIME: Duration = Duration::from_secs(3);

fn main() {
    let server = spawn_server(server());
    let proxy = spawn_server(proxy(server));
    let nginx = Nginx::start(server);
    let mut targets = vec![("direct", server), ("devrun", proxy)];
    targets.extend(nginx.as_ref().map(|nginx| ("nginx", nginx.address)));
    println!("{:8} {:>24} {:>34} {:>16}", "", "one client", "16 clients", "one download");
    println!(
        "{:8} {:>11} {:>12} {:>11} {:>11} {:>10} {:>16}",
        "", "p50", "p99", "requests/s", "p50", "p99", "MB/s"
    );
    for (name, address) in targets {
        let one = load(address, 1);
        let many = load(address, 16);
        let speed = LARGE_BODY_SIZE as f64 / 1e6 / download(address).as_secs_f64();
        println!(
            "{name:8} {:>8.0} µs {:>9.0} µs {:>11.0} {:>8.0} µs {:>7.0} µs {speed:>16.0}",
            one.p50, one.p99, many.rate, many.p50, many.p99
        );
    }
}

/// Runs a server in its own thread and runtime, and returns its address.
fn spawn_server(
    serving: impl Future<Output = (SocketAddr, impl Future<Output = ()>)> + Send + 'static,
) -> SocketAddr {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (address, rest) = serving.await;
            send.send(address).unwrap();
            rest.await;
        });
    });
    receive.recv().unwrap()
}

async fn proxy(server: SocketAddr) -> (SocketAddr, impl Future<Output = ()>) {
    let mut proxy = Proxy::start(Options::new(vec!["127.0.0.1:0".parse().unwrap()])).await.unwrap();
    let Some(Event::Listening { addresses }) = proxy.next_event().await else { panic!("not listening") };
    proxy.handle().publish(Upstream::Ready { generation: GenerationId::FIRST, address: server });
    (addresses[0], async move { while proxy.next_event().await.is_some() {} })
}

/// A server that answers all requests with the same bytes.
async fn server() -> (SocketAddr, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream));
        }
    })
}

async fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let head = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes()
    };
    let small = [head(SMALL_BODY_SIZE), vec![b'x'; SMALL_BODY_SIZE]].concat();
    let mut request = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = stream.read(&mut request).await else { return };
        let text = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
        if text.starts_with("get /large") {
            let _ = stream.write_all(&head(LARGE_BODY_SIZE)).await;
            let block = vec![b'x'; 256 * 1024];
            for _ in 0..LARGE_BODY_SIZE / block.len() {
                let _ = stream.write_all(&block).await;
            }
        } else if stream.write_all(&small).await.is_err() {
            return;
        }
        if text.contains("connection: close") {
            return;
        }
    }
}

struct Load {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// Measures requests of `clients` concurrent clients, each with one request at a time.
fn load(address: SocketAddr, clients: usize) -> Load {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut times: Vec<f64> = runtime.block_on(async {
        let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(client(address))).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times
    });
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[(times.len() as f64 * part) as usize];
    Load { rate: times.len() as f64 / LOAD_TIME.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
}

async fn client(address: SocketAddr) -> Vec<f64> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut times, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    let begin = Instant::now();
    while begin.elapsed() < LOAD_TIME {
        let asked = Instant::now();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
            .await
            .unwrap();
        let (mut read, mut needed) = (0, usize::MAX);
        while read < needed {
            let more = stream.read(&mut buffer[read..]).await.unwrap();
            assert!(more > 0, "cut");
            read += more;
            if let Some(end) = buffer[..read].windows(4).position(|four| four == b"\r\n\r\n") {
                needed = end + 4 + SMALL_BODY_SIZE;
            }
        }
        times.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    times
}

fn download(address: SocketAddr) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let (mut all, mut buffer) = (0, vec![0; 256 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            all += read;
        }
        assert!(all > LARGE_BODY_SIZE, "cut at {all}");
        begin.elapsed()
    })
}

struct Nginx {
    address: SocketAddr,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn start(server: SocketAddr) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let root = dir.path().display();
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 1024; }}
             http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {root}/b; proxy_temp_path {root}/p;
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; proxy_max_temp_file_size 0;
             server {{ listen {address}; location / {{ proxy_pass http://{server}; proxy_set_header Host $host;
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new("nginx")
            .arg("-e")
            .arg(dir.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let nginx = Self { address, child, _dir: dir };
        for _ in 0..100 {
            if std::net::TcpStream::connect(address).is_ok() {
                return Some(nginx);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
