//! A PostgreSQL server that does what a script says. It runs on threads of its own, so that it sends as fast as the
//! socket takes it whatever the client's runtime does.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The code of an `SSLRequest` in place of a protocol version.
const SSL_REQUEST: i32 = 80_877_103;

/// A client that has connected.
pub struct Peer {
    stream: Box<dyn Duplex>,
    passwords: Arc<Mutex<Vec<String>>>,
}

/// Either end of a connection, encrypted or not.
trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// Listens on this machine until the test ends.
pub struct Server {
    /// Where.
    pub address: SocketAddr,
    passwords: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Runs a script for each client on loopback. Without a certificate the server answers that it has no TLS.
    pub fn start<S>(tls: Option<Arc<ServerConfig>>, script: S) -> Self
    where
        S: Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), tls, script)
    }

    /// The same at another address of this machine.
    pub fn start_at<S>(host: IpAddr, tls: Option<Arc<ServerConfig>>, script: S) -> Self
    where
        S: Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    {
        Self::raw_at(host, move |stream, passwords| {
            let Some(mut peer) = Peer::accept(stream, tls.clone(), passwords)? else {
                return Ok(());
            };
            script(&mut peer)
        })
    }

    /// Runs a script on the bare socket on loopback.
    pub fn raw<S>(script: S) -> Self
    where
        S: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> io::Result<()> + Send + Sync + 'static,
    {
        Self::raw_at(Ipv4Addr::LOCALHOST.into(), script)
    }

    fn raw_at<S>(host: IpAddr, script: S) -> Self
    where
        S: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let passwords = Arc::<Mutex<Vec<String>>>::default();
        let (script, seen) = (Arc::new(script), Arc::clone(&passwords));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                // That the client hangs up is how most attacks end.
                thread::spawn(move || script(stream, seen).ok());
            }
        });
        Self { address, passwords }
    }

    /// Every password message that a client has sent.
    pub fn passwords(&self) -> Vec<String> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Peer {
    fn accept(
        mut stream: TcpStream,
        tls: Option<Arc<ServerConfig>>,
        passwords: Arc<Mutex<Vec<String>>>,
    ) -> io::Result<Option<Self>> {
        let mut stream: Box<dyn Duplex> = if first_word(&mut stream)? == SSL_REQUEST {
            if let Some(config) = tls {
                stream.write_all(b"S")?;
                let connection = ServerConnection::new(config).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(connection, stream))
            } else {
                stream.write_all(b"N")?;
                Box::new(stream)
            }
        } else {
            return Ok(Some(Self { stream: Box::new(stream), passwords }));
        };
        first_word(&mut stream)?;
        Ok(Some(Self { stream, passwords }))
    }

    /// One message: its type, its length, its body.
    pub fn send(&mut self, tag: u8, body: &[u8]) -> io::Result<()> {
        let length = i32::try_from(body.len() + 4).unwrap();
        self.header(tag, length)?;
        self.bytes(body)
    }

    /// A type and a length, whatever follows.
    pub fn header(&mut self, tag: u8, length: i32) -> io::Result<()> {
        let mut header = vec![tag];
        header.extend(length.to_be_bytes());
        self.bytes(&header)
    }

    /// Anything.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Anything, without an end.
    pub fn flood(&mut self, piece: &[u8]) -> io::Result<()> {
        let many = piece.repeat((64 * 1024 / piece.len()).max(1));
        loop {
            self.bytes(&many)?;
        }
    }

    /// Says nothing more, and keeps the connection.
    pub fn silence(&mut self) -> io::Result<()> {
        loop {
            self.receive()?;
        }
    }

    /// The client's next message.
    pub fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header)?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body)?;
        if header[0] == b'p' {
            let text = String::from_utf8_lossy(&body).into_owned();
            self.passwords.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        Ok((header[0], body))
    }

    /// Asks for a way to authenticate, with what goes with it.
    pub fn ask(&mut self, method: i32, rest: &[u8]) -> io::Result<()> {
        let mut body = method.to_be_bytes().to_vec();
        body.extend(rest);
        self.send(b'R', &body)
    }

    /// Lets the client in.
    pub fn welcome(&mut self) -> io::Result<()> {
        self.ask(0, &[])?;
        self.ready(b'I')
    }

    /// Waits for the next statement.
    pub fn ready(&mut self, status: u8) -> io::Result<()> {
        self.send(b'Z', &[status])
    }

    /// Lets the client in and says yes to `BEGIN`; returns when a question has been asked.
    pub fn until_question(&mut self) -> io::Result<()> {
        self.welcome()?;
        self.receive()?;
        self.send(b'C', b"BEGIN\0")?;
        self.ready(b'T')?;
        self.receive().map(|_| ())
    }

    /// An error as a server reports it.
    pub fn error(&mut self, state: &str, message: &str) -> io::Result<()> {
        self.send(b'E', &report(state, message))
    }
}

/// The fields of an error or a notice.
pub fn report(state: &str, message: &str) -> Vec<u8> {
    format!("SFATAL\0VFATAL\0C{state}\0M{message}\0\0").into_bytes()
}

/// A message of this type and body.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut whole = vec![tag];
    whole.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
    whole.extend(body);
    whole
}

/// A row with these columns.
pub fn row(columns: &[&[u8]]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for column in columns {
        body.extend(i32::try_from(column.len()).unwrap().to_be_bytes());
        body.extend(*column);
    }
    message(b'D', &body)
}

/// Reads a message without a type; what it begins with.
fn first_word(stream: &mut impl Read) -> io::Result<i32> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(i32::from_be_bytes([body[0], body[1], body[2], body[3]]))
}
