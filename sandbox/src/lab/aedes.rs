//! aedes, a library for Node, with the few lines that make it a broker with mutual TLS. Its sessions are in memory.

use std::io;

use super::install::{self, Program};
use super::launch::{Launch, Site};

pub(super) fn prepare(program: &Program, site: &Site<'_>) -> io::Result<Launch> {
    let files = site.files;
    let text = format!(
        "const fs = require('fs');\nconst tls = require('tls');\nconst {{ Aedes }} = require('aedes');\n\
         (async () => {{\n  const broker = await Aedes.createBroker();\n  const options = {{\n\
         \x20   cert: fs.readFileSync('{}'),\n    key: fs.readFileSync('{}'),\n    ca: fs.readFileSync('{}'),\n\
         \x20   requestCert: true,\n    rejectUnauthorized: true,\n  }};\n\
         \x20 tls.createServer(options, broker.handle).listen({}, '127.0.0.1');\n}})();\n",
        files.broker.cert.display(),
        files.broker.key.display(),
        files.ca.display(),
        site.port,
    );
    let script = site.write("broker.cjs", &text)?.display().to_string();
    let modules = install::directory().join("npm/node_modules").canonicalize()?;
    Ok(Launch::new(&program.path).args([script.as_str()]).env("NODE_PATH", modules.display().to_string()))
}
