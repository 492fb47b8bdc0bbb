//! One WebSocket: text messages out of and into bytes, never more in memory than its limit.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    error::CapacityError,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

/// A read takes at most this much; an idle socket keeps this much.
const READ_BYTES: usize = 4096;
/// Frames are collected up to this before they are written.
const WRITE_BYTES: usize = 16 * 1024;
/// A close frame may be this long before it is cut; the protocol's limit is 123.
const REASON_BYTES: usize = 120;
/// How long the other end has to take note of a close frame.
const GOODBYE: Duration = Duration::from_secs(1);

/// A WebSocket over `S`. Compression is never negotiated.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    context: WebSocketContext,
    flushing: bool,
}

/// What [`Socket::turn`] came back with.
#[derive(Debug)]
pub(crate) enum Turn {
    /// A message. What was binary and is no text is empty.
    Heard(Utf8Bytes),
    /// A ping or pong: the other end lives.
    Alive,
    /// All that was queued is written.
    Flushed,
    /// The other end broke the rules; close with this code.
    Broken(u16),
    /// The other end is gone.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A socket that was just upgraded; `read` is what came after the request.
    pub(crate) fn new(stream: S, read: &[u8], max_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_message_size(Some(max_bytes))
            .max_frame_size(Some(max_bytes));
        let context =
            WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config));
        Self {
            stream,
            context,
            flushing: false,
        }
    }

    /// From now on messages may have `max_bytes`.
    pub(crate) fn allow(&mut self, max_bytes: usize) {
        self.context.set_config(|config| {
            config.max_message_size = Some(max_bytes);
            config.max_frame_size = Some(max_bytes);
        });
    }

    /// Whether all that was queued is written.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.flushing
    }

    /// Queues a text message; [`Socket::turn`] writes it.
    pub(crate) fn queue(&mut self, text: String) {
        self.put(Message::text(text));
    }

    /// Queues a ping.
    pub(crate) fn ping(&mut self) {
        self.put(Message::Ping(bytes::Bytes::new()));
    }

    fn put(&mut self, message: Message) {
        self.flushing = true;
        // Nobody has to be woken: whoever turns next asks the stream again.
        let cx = &mut Context::from_waker(Waker::noop());
        let mut io = Io {
            stream: &mut self.stream,
            cx,
        };
        // Queued whatever happens; a broken stream shows when it is flushed.
        let _ = self.context.write(&mut io, message);
    }

    /// Moves bytes both ways until something is to be told; hears nothing unless `listen`.
    ///
    /// May be dropped at any point and called again.
    pub(crate) async fn turn(&mut self, listen: bool) -> Turn {
        poll_fn(|cx| self.poll_turn(cx, listen)).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, listen: bool) -> Poll<Turn> {
        let mut io = Io {
            stream: &mut self.stream,
            cx,
        };
        let mut idle = Poll::Pending;
        if self.flushing {
            match self.context.flush(&mut io) {
                Ok(()) => {
                    self.flushing = false;
                    idle = Poll::Ready(Turn::Flushed);
                }
                Err(error) if is_wait(&error) => {}
                Err(_) => return Poll::Ready(Turn::Gone),
            }
        }
        if !listen {
            return idle;
        }
        match self.context.read(&mut io) {
            Ok(Message::Text(text)) => Poll::Ready(Turn::Heard(text)),
            Ok(Message::Binary(bytes)) => {
                Poll::Ready(Turn::Heard(Utf8Bytes::try_from(bytes).unwrap_or_default()))
            }
            Ok(Message::Close(_)) => {
                // Writes the answering close frame as far as it goes.
                let _ = self.context.flush(&mut io);
                Poll::Ready(Turn::Gone)
            }
            Ok(_) => Poll::Ready(Turn::Alive),
            Err(error) if is_wait(&error) => idle,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                Poll::Ready(Turn::Broken(1009))
            }
            Err(Error::Utf8(_)) => Poll::Ready(Turn::Broken(1007)),
            Err(Error::Protocol(_)) => Poll::Ready(Turn::Broken(1002)),
            Err(_) => Poll::Ready(Turn::Gone),
        }
    }

    /// Writes what is queued, a close frame, and waits a moment until the other end has seen it.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: cut(reason).into(),
        };
        let mut frame = Some(frame);
        let goodbye = async {
            poll_fn(|cx| {
                let mut io = Io {
                    stream: &mut self.stream,
                    cx,
                };
                let flushed = match frame.take() {
                    Some(frame) => self.context.close(&mut io, Some(frame)),
                    None => self.context.flush(&mut io),
                };
                match flushed {
                    Err(error) if is_wait(&error) => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            })
            .await;
            // A socket closed with bytes unread resets, and the other end never sees the close frame.
            let _ = self.stream.shutdown().await;
            let mut rest = [0; READ_BYTES];
            while self.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

/// At most [`REASON_BYTES`] of `reason`, whole characters.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES)]
}

fn is_wait(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The stream as tungstenite wants it: what would wait is an error, and the task is woken later.
struct Io<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncRead + Unpin> Read for Io<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(into);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer) {
            Poll::Ready(Ok(())) => Ok(buffer.filled().len()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Io<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.cx, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match Pin::new(&mut *self.stream).poll_flush(self.cx) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked client frame with the mask 0.
    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len => {
                frame.push(0x80 | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    }

    #[tokio::test]
    async fn what_came_with_the_request_is_heard_first() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut socket = Socket::new(near, &frame(1, b"one"), 100);
        far.write_all(&frame(2, b"two")).await.unwrap();
        assert!(matches!(socket.turn(true).await, Turn::Heard(text) if text.as_str() == "one"));
        assert!(matches!(socket.turn(true).await, Turn::Heard(text) if text.as_str() == "two"));
    }

    #[tokio::test]
    async fn a_limit_is_kept_and_can_be_raised_between_two_messages() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut socket = Socket::new(near, &[], 10);
        far.write_all(&frame(1, b"0123456789")).await.unwrap();
        far.write_all(&frame(1, &[b'x'; 5000])).await.unwrap();
        assert!(matches!(socket.turn(true).await, Turn::Heard(_)));
        socket.allow(5000);
        assert!(matches!(socket.turn(true).await, Turn::Heard(text) if text.len() == 5000));
        far.write_all(&frame(1, &[b'x'; 5001])[..14]).await.unwrap();
        assert!(
            matches!(socket.turn(true).await, Turn::Broken(1009)),
            "by the header alone"
        );
    }

    #[tokio::test]
    async fn a_close_frame_arrives_though_much_is_unread() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut socket = Socket::new(near, &[], 10);
        far.write_all(&frame(1, &[b'x'; 30_000])).await.unwrap();
        assert!(matches!(socket.turn(true).await, Turn::Broken(1009)));
        let closing = tokio::spawn(socket.close(1009, ""));
        let mut heard = [0; 4];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, [0x88, 2, 0x03, 0xf1]);
        drop(far);
        closing.await.unwrap();
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(100)).len(), 120);
        assert_eq!(cut("short"), "short");
    }
}
