//! A few requests over HTTP/1.0, to addresses of the test cluster.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any answer of a healthy API takes.
const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Response {
    pub status: u16,
    pub body: String,
    headers: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

pub fn get(address: &str, port: u16, path: &str, headers: &[(&str, &str)]) -> Response {
    send("GET", address, port, path, headers)
}

pub fn post(address: &str, port: u16, path: &str) -> Response {
    post_with(address, port, path, &[])
}

pub fn post_with(address: &str, port: u16, path: &str, headers: &[(&str, &str)]) -> Response {
    send("POST", address, port, path, headers)
}

/// A connection that fails is a response with status 0: the caller decides whether it may.
fn send(method: &str, address: &str, port: u16, path: &str, headers: &[(&str, &str)]) -> Response {
    let failed =
        |error: std::io::Error| Response { status: 0, body: error.to_string(), headers: String::new() };
    exchange(method, address, port, path, headers).unwrap_or_else(failed)
}

fn exchange(
    method: &str,
    address: &str,
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
) -> std::io::Result<Response> {
    let address: SocketAddr = format!("{address}:{port}").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut request = format!("{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request += "Host: e2e\r\n";
    }
    for (name, value) in headers {
        request = request + name + ": " + value + "\r\n";
    }
    stream.write_all((request + "\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Response { status, body: body.to_owned(), headers: head.to_owned() })
}
