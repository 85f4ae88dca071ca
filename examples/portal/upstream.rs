//! The slow upstream that the portal starts without `--upstream`: one document per connection, in small
//! chunks.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::zip;

/// Number of chunks per document.
const CHUNKS: usize = 64;

/// The tender whose document stalls in the middle, as an example of a stall.
const STALLS: &str = "999";

/// Starts the upstream on a free loopback port. It runs until the runtime ends.
pub(crate) async fn start(size: usize, time: Duration) -> Result<std::net::SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("upstream: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(answer(client, size, time));
        }
    });
    Ok(address)
}

async fn answer(client: TcpStream, size: usize, time: Duration) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut line = String::new();
    client.read_line(&mut line).await?;
    let id =
        line.split(['/', ' ', '.']).find(|word| word.chars().all(|c| c.is_ascii_digit()) && !word.is_empty());
    let id = id.unwrap_or("0").to_owned();
    let document = document(&id, size);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        document.len()
    );
    client.write_all(head.as_bytes()).await?;
    for (number, chunk) in document.chunks(document.len().div_ceil(CHUNKS)).enumerate() {
        if id == STALLS && number == CHUNKS / 2 {
            std::future::pending::<()>().await;
        }
        client.write_all(chunk).await?;
        client.flush().await?;
        tokio::time::sleep(time / CHUNKS as u32).await;
    }
    client.shutdown().await
}

/// A valid ZIP archive: the bill of quantities, and drawings that fill the size. The same for the same id and
/// size.
fn document(id: &str, size: usize) -> Vec<u8> {
    let quantities = format!("البند,الوحدة,الكمية\nأعمال الحفر ({id}),م3,1250\nخرسانة مسلحة,م3,480\n");
    let mut state = id.bytes().fold(0x9E37_79B9_u32, |state, byte| state.rotate_left(5) ^ u32::from(byte));
    let drawings = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let drawings = drawings.take(size).collect();
    zip::archive(&[("جدول الكميات.csv", quantities.into_bytes()), ("المخططات.bin", drawings)])
}
