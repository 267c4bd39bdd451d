//! Asks one runner how it does. What a runner answers is not trusted: it is bounded in time and size, and only its fields
//! are used.

use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use millrace_report::Report;
use tokio::net::TcpStream;

/// How long a runner may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much it may answer.
const MOST_BYTES: usize = 1 << 20;

/// `GET /status` of the runner at `address`, `ip:port`.
pub(super) async fn scrape(address: &str) -> anyhow::Result<Report> {
    let answer = tokio::time::timeout(TIMEOUT, ask(address));
    answer.await.context("no answer in time")?
}

async fn ask(address: &str) -> anyhow::Result<Report> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get(millrace_report::PATH)
        .header(http::header::HOST, address)
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        if response.status() != http::StatusCode::OK {
            bail!("answered {}", response.status());
        }
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    };
    // The connection has to be driven while the answer is awaited, and is of no use afterwards.
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}
