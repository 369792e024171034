//! nginx as a TLS proxy in front of a broker's WebSocket listener, with client certificates.

use std::path::Path;
use std::process::Stdio;

use sandbox::certs::PkiFiles;
use sandbox::tools;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::common::PATIENCE;

/// A running nginx.
pub struct Nginx {
    pub port: u16,
    child: Child,
    directory: TempDir,
}

impl Nginx {
    /// Passes `/mqtt` on to this port of 127.0.0.1, answers `/moved` with a redirect and `/closed` with 403, and knows no other
    /// path. `None` when nginx is not installed, and the test is skipped.
    pub async fn before(upstream: u16, files: &PkiFiles) -> Option<Self> {
        let program = tools::require("nginx")?;
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let text = config(directory.path(), port, upstream, files);
        std::fs::write(directory.path().join("nginx.conf"), text).unwrap();
        let child = Command::new(program)
            .arg("-p")
            .arg(directory.path())
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut nginx = Self { port, child, directory };
        tokio::time::timeout(PATIENCE, nginx.listens()).await.expect("nginx listens");
        Some(nginx)
    }

    async fn listens(&mut self) {
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let log = self.directory.path().join("error.log");
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx: {}", std::fs::read_to_string(log).unwrap_or_default());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// One process, so that it ends with its parent's signal; nothing is written outside its directory.
fn config(directory: &Path, port: u16, upstream: u16, files: &PkiFiles) -> String {
    let root = directory.display();
    let user = if is_root(directory) { "user root;\n" } else { "" };
    format!(
        "daemon off;\nmaster_process off;\n{user}pid {root}/nginx.pid;\nerror_log {root}/error.log warn;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n access_log off;\n client_body_temp_path {root}/body;\n proxy_temp_path {root}/proxy;\n\
         fastcgi_temp_path {root}/fastcgi;\n uwsgi_temp_path {root}/uwsgi;\n scgi_temp_path {root}/scgi;\n\
         server {{\n listen 127.0.0.1:{port} ssl http2;\n ssl_certificate {};\n ssl_certificate_key {};\n\
         ssl_client_certificate {};\n ssl_verify_client on;\n\
         location = /mqtt {{\n proxy_pass http://127.0.0.1:{upstream};\n proxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade;\n proxy_set_header Connection upgrade;\n proxy_read_timeout 5m;\n }}\n\
         location = /moved {{ return 301 https://127.0.0.1/; }}\n location = /closed {{ return 403; }}\n\
         location / {{ return 404; }}\n }}\n}}\n",
        files.broker.cert.display(),
        files.broker.key.display(),
        files.ca.display(),
    )
}

fn is_root(directory: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&directory.metadata().unwrap()) == 0
}
