//! A port where nobody listens, until it leads somewhere.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub struct Door {
    /// Bound and not listening: connections are refused, and nobody else gets the port.
    shut: Option<TcpSocket>,
    port: u16,
    to: watch::Sender<String>,
    task: JoinSet<()>,
}

impl Door {
    pub fn shut() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { shut: Some(socket), port, to: watch::Sender::default(), task: JoinSet::new() }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections to where it has led before end.
    pub fn leads_to(&mut self, address: impl ToString) {
        self.to.send_replace(address.to_string());
        if let Some(socket) = self.shut.take() {
            self.task.spawn(pass(socket.listen(64).unwrap(), self.to.clone()));
        }
    }
}

async fn pass(listener: TcpListener, to: watch::Sender<String>) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let mut to = to.subscribe();
        connections.spawn(async move {
            let address = to.borrow_and_update().clone();
            let Ok(mut far) = TcpStream::connect(address).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = to.changed() => {}
            }
        });
    }
}
