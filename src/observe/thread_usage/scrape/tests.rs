use std::net::Ipv4Addr;

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{Instant, sleep},
};

use super::*;

const SUM: &str = "flagsmith_http_server_request_duration_seconds_sum";

/// A pod that reads the request, and then does as it is told.
async fn pod<F>(behave: impl FnOnce(TcpStream, String) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        behave(stream, String::from_utf8_lossy(&request).into_owned()).await
    });
    address
}

/// A pod that answers with these bytes and closes the connection.
async fn answering(answer: impl Into<Vec<u8>>) -> Result<f64, Error> {
    let answer = answer.into();
    let address = pod(|mut stream, _| async move {
        stream.write_all(&answer).await?;
        stream.shutdown().await
    });
    request_seconds(address.await).await
}

/// A pod that sends this first, and then the second for ever.
async fn without_end(first: String, again: Vec<u8>) -> Result<f64, Error> {
    let address = pod(|mut stream, _| async move {
        stream.write_all(first.as_bytes()).await?;
        loop {
            stream.write_all(&again).await?;
        }
    });
    request_seconds(address.await).await
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[rstest]
#[case::length(ok(&format!("a 1\n{SUM}{{x=\"1\"}} 2.5\n{SUM}{{x=\"2\"}} 1\n")))]
#[case::until_the_end(format!("HTTP/1.0 200 OK\r\n\r\n{SUM} 1.5\n{SUM} 2"))]
#[case::chunked(format!(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{}\r\n{:x}\r\n{} 3.5\n\r\n0\r\n\r\n",
    &SUM[..20], SUM.len() - 20 + 5, &SUM[20..]
))]
#[tokio::test]
async fn an_answer_is_read_however_it_is_framed(#[case] answer: String) {
    assert_eq!(answering(answer).await.ok(), Some(3.5));
}

#[tokio::test]
async fn the_request_is_one_that_a_proxy_takes() {
    let address = pod(|mut stream, request| async move {
        let head = request.to_lowercase();
        let known = head.starts_with("get /metrics http/1.1\r\n") && head.contains("\r\nhost: 127.0.0.1:");
        let status = if known { "200 OK" } else { "426 Upgrade Required" };
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{SUM} 1\n");
        stream.write_all(answer.as_bytes()).await
    });
    assert_eq!(request_seconds(address.await).await.ok(), Some(1.0));
}

#[rstest]
#[case::upgrade("426 Upgrade Required", "")]
#[case::redirect("302 Found", "location: http://127.0.0.1:1/\r\n")]
#[case::no_content("204 No Content", "")]
#[case::failure("500 Internal Server Error", "")]
#[tokio::test]
async fn only_an_answer_with_status_200_counts(#[case] status: &str, #[case] header: &str) {
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{header}\r\n{SUM} 1\n");
    let error = answering(answer).await.unwrap_err();
    assert!(matches!(error, Error::Status(code) if status.starts_with(code.as_str())), "{error}");
}

#[tokio::test]
async fn what_is_compressed_is_not_read() {
    let answer =
        [ok("").replace("0\r\n\r\n", "4\r\ncontent-encoding: gzip\r\n\r\n").as_bytes(), b"\x1f\x8b\x08\0"]
            .concat();
    let error = answering(answer).await.unwrap_err();
    assert!(matches!(error, Error::Compressed), "{error}");
}

/// Half of the sums would be a wrong figure.
#[rstest]
#[case::cut_off(format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{SUM} 1\n"))]
#[case::cut_chunk(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{SUM} 1\n"))]
#[case::no_http("SSH-2.0-x\r\n".to_owned())]
#[case::nothing(String::new())]
#[tokio::test]
async fn what_is_not_whole_does_not_count(#[case] answer: String) {
    let error = answering(answer).await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
}

#[tokio::test]
async fn a_body_without_end_is_left_at_the_limit() {
    let begun = Instant::now();
    let line = format!("{SUM}{{x=\"y\"}} 1\n").repeat(100);
    let error = without_end("HTTP/1.1 200 OK\r\n\r\n".to_owned(), line.into_bytes()).await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[rstest]
#[case::of_the_body("HTTP/1.1 200 OK\r\n\r\n")]
#[case::of_a_chunk("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7fffffff\r\n")]
#[tokio::test]
async fn a_line_without_end_is_left(#[case] head: &str) {
    let error = without_end(head.to_owned(), vec![b'x'; 4096]).await.unwrap_err();
    assert!(matches!(error, Error::LineTooLong(_)), "{error}");
}

#[tokio::test]
async fn a_head_without_end_is_left() {
    let error = without_end("HTTP/1.1 200 OK\r\n".to_owned(), b"a: b\r\n".to_vec()).await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
}

#[rstest]
#[case::of_the_head("HTTP/1.1 200 OK\r\n", "a")]
#[case::of_the_body("HTTP/1.1 200 OK\r\n\r\n", "\n")]
#[tokio::test]
async fn one_byte_now_and_then_does_not_move_the_deadline(
    #[case] head: &'static str,
    #[case] again: &'static str,
) {
    let address = pod(move |mut stream, _| async move {
        stream.write_all(head.as_bytes()).await?;
        loop {
            sleep(DEADLINE / 10).await;
            stream.write_all(again.as_bytes()).await?;
        }
    });
    let begun = Instant::now();
    let error = request_seconds(address.await).await.unwrap_err();
    assert!(matches!(error, Error::TooSlow), "{error}");
    assert!(begun.elapsed() < DEADLINE * 3 / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let address = pod(|stream, _| async move {
        sleep(DEADLINE * 2).await;
        drop(stream);
        Ok(())
    });
    let error = request_seconds(address.await).await.unwrap_err();
    assert!(matches!(error, Error::TooSlow), "{error}");
}
