//! What is read: arguments, files, standard input. A pipe that says nothing does not keep Ctrl-C
//! from being heard.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::bytes::Encoding;
use crate::cancel::Cancel;
use crate::fail::Failure;

/// Bytes that are read at once, and how many of such pieces wait to be taken.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;
/// How long nobody looks whether the command is to end.
const DEAF_FOR: Duration = Duration::from_millis(100);

/// Whether a path means standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What a path is called in messages.
pub fn name_of(path: &Path) -> String {
    match is_dash(path) {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// All of a file, or of standard input.
fn read_all(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match is_dash(path) {
        true => io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => File::open(path).and_then(|mut file| file.read_to_end(&mut bytes).map(|_| ())),
    };
    read.map_err(|error| Failure::io(&format!("read {}", name_of(path)), &error))?;
    Ok(bytes)
}

/// The bytes that an argument stands for; `what` it is, for messages.
pub fn argument(text: &OsStr, encoding: Encoding, what: &str) -> Result<Vec<u8>, Failure> {
    decode(text.as_bytes().to_vec(), encoding, what)
}

/// The bytes that are in a file, or come on standard input.
pub fn file(path: &Path, encoding: Encoding, what: &str) -> Result<Vec<u8>, Failure> {
    decode(read_all(path)?, encoding, what)
}

/// The key that is an argument, or is in a file.
pub fn key(
    text: Option<&OsStr>,
    path: Option<&Path>,
    encoding: Encoding,
) -> Result<Vec<u8>, Failure> {
    match (text, path) {
        (Some(text), _) => argument(text, encoding, "key"),
        (None, Some(path)) => file(path, encoding, "key"),
        (None, None) => Err(Failure::usage("there is no key")),
    }
}

fn decode(text: Vec<u8>, encoding: Encoding, what: &str) -> Result<Vec<u8>, Failure> {
    encoding.decode(text).map_err(|wrong| Failure::usage(format!("the {what}: {wrong}")))
}

/// Something long that is read bit by bit.
pub struct Source {
    pub name: String,
    /// Bytes of it, if that is known.
    pub len: Option<u64>,
    pub reader: Box<dyn Read>,
}

/// Opens a file, or standard input.
pub fn source(path: &Path, cancel: &Cancel) -> Result<Source, Failure> {
    let name = name_of(path);
    let failed = |error| Failure::io(&format!("read {name}"), &error);
    if is_dash(path) {
        let reader = Box::new(Piped::new(io::stdin(), cancel.clone()).map_err(failed)?);
        return Ok(Source { name, len: None, reader });
    }
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_file() {
        return Ok(Source { name, len: Some(about.len()), reader: Box::new(file) });
    }
    if about.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let reader = Box::new(Piped::new(file, cancel.clone()).map_err(failed)?);
    Ok(Source { name, len: None, reader })
}

/// What comes in pieces from a thread that may wait for ever.
struct Piped {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    cancel: Cancel,
}

impl Piped {
    fn new(mut from: impl Read + Send + 'static, cancel: Cancel) -> io::Result<Piped> {
        let (give, pieces) = sync_channel(PIECES);
        let read_on = move || loop {
            let mut piece = vec![0; PIECE];
            let read = match from.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(len) => {
                    piece.truncate(len);
                    Ok(piece)
                }
                Err(error) => Err(error),
            };
            let is_last = !matches!(&read, Ok(piece) if !piece.is_empty());
            if give.send(read).is_err() || is_last {
                return;
            }
        };
        thread::Builder::new().name("kv-input".to_owned()).spawn(read_on)?;
        Ok(Piped { pieces, piece: Vec::new(), at: 0, cancel })
    }
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.cancel.is_asked() {
                return Err(io::Error::other("interrupted"));
            }
            match self.pieces.recv_timeout(DEAF_FOR) {
                Ok(piece) => {
                    self.piece = piece?;
                    self.at = 0;
                    if self.piece.is_empty() {
                        return Ok(0);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let len = buffer.len().min(self.piece.len() - self.at);
        buffer[..len].copy_from_slice(&self.piece[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}
