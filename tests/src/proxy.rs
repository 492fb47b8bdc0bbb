//! A TCP proxy that misbehaves on command.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time,
};

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hands them on.
    Pass,
    /// Holds them back, in both directions and without closing anything, until the mode changes: a cut cable.
    BlackHole,
    /// Resets connections that exist and new ones.
    Reset,
    /// Hands each piece on after this long.
    Slow(Duration),
}

/// A proxy in front of one server; dropping it cuts all connections.
pub struct FaultProxy {
    addr: SocketAddr,
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
    listener: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a port of its own and hands on to `server`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener
            .local_addr()
            .expect("a bound socket has an address");
        let mode = watch::Sender::new(Mode::Pass);
        let cuts = watch::Sender::new(0);
        let listener = tokio::spawn(listen(listener, server, mode.clone(), cuts.clone()));
        Self {
            addr,
            mode,
            cuts,
            listener,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on behaves so, on connections that exist too.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        if mode == Mode::Reset {
            self.cut();
        }
    }

    /// Behaves so for a while, and hands on again after it.
    pub async fn set_for(&self, mode: Mode, while_: Duration) {
        self.set(mode);
        time::sleep(while_).await;
        self.set(Mode::Pass);
    }

    /// Resets all connections that exist; new ones are served as before.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        // The listener watches the cuts with the sender only; each connection has one receiver.
        self.cuts.receiver_count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

async fn listen(
    listener: TcpListener,
    server: SocketAddr,
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if *mode.borrow() == Mode::Reset {
            // Without lingering, a close is a reset.
            let _ = client.set_zero_linger();
            continue;
        }
        tokio::spawn(serve(client, server, mode.subscribe(), cuts.subscribe()));
    }
}

async fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    mut cuts: watch::Receiver<u64>,
) {
    // The client's connection stands while the cable is cut, but nobody is reached.
    if mode
        .wait_for(|mode| *mode != Mode::BlackHole)
        .await
        .is_err()
    {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((hear_client, tell_client), (hear_server, tell_server)) = (client.split(), server.split());
    let talk = async {
        tokio::join!(
            hand_on(hear_client, tell_server, mode.clone()),
            hand_on(hear_server, tell_client, mode)
        )
    };
    let cut = tokio::select! {
        _ = cuts.changed() => true,
        _ = talk => false,
    };
    if cut {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

async fn hand_on(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut mode: watch::Receiver<Mode>) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let Ok(now) = mode
            .wait_for(|mode| *mode != Mode::BlackHole)
            .await
            .map(|mode| *mode)
        else {
            return;
        };
        if let Mode::Slow(pause) = now {
            time::sleep(pause).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually::eventually;

    /// A server that says everything back, and a proxy in front of it.
    async fn echo() -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = FaultProxy::start(listener.local_addr().unwrap()).await;
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut hear, mut tell) = socket.split();
                    tokio::io::copy(&mut hear, &mut tell).await
                });
            }
        });
        proxy
    }

    async fn said_back(socket: &mut TcpStream, patience: Duration) -> bool {
        let exchange = async {
            socket.write_all(b"hi").await?;
            socket.read_exact(&mut [0; 2]).await
        };
        matches!(time::timeout(patience, exchange).await, Ok(Ok(_)))
    }

    #[tokio::test]
    async fn what_a_black_hole_swallowed_arrives_when_it_heals() {
        let proxy = echo().await;
        let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
        assert!(said_back(&mut socket, crate::eventually::DEADLINE).await);
        proxy.set(Mode::BlackHole);
        assert!(!said_back(&mut socket, Duration::from_millis(50)).await);
        proxy.set(Mode::Pass);
        time::timeout(crate::eventually::DEADLINE, socket.read_exact(&mut [0; 2]))
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_cut_ends_what_exists_and_lets_new_in() {
        let proxy = echo().await;
        let mut old = TcpStream::connect(proxy.addr()).await.unwrap();
        assert!(said_back(&mut old, crate::eventually::DEADLINE).await);
        proxy.cut();
        eventually("the connection to be gone", || async {
            (proxy.connections() == 0).then_some(())
        })
        .await;
        assert!(!said_back(&mut old, crate::eventually::DEADLINE).await);
        let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
        assert!(said_back(&mut new, crate::eventually::DEADLINE).await);
    }
}
