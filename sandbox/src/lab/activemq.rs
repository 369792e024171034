//! Apache ActiveMQ Classic with its MQTT connector and KahaDB. Debian's package has no MQTT by itself: the client
//! library of another package is linked beside its own.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::Program;
use super::launch::{Launch, Site};
use crate::tools::find_tool;

const LIBRARIES: &str = "/usr/share/activemq/lib";
const JAVA: &str = "/usr/share/java";
const MORE: [&str; 3] = ["mqtt-client.jar", "hawtdispatch.jar", "hawtdispatch-transport.jar"];
/// Of the stores, which lie in a directory that goes with the broker.
const PASSWORD: &str = "changeit";

pub(super) fn prepare(program: &Program, site: &Site<'_>) -> io::Result<Launch> {
    link_libraries(site)?;
    stores(site)?;
    let config = site.write("activemq.xml", &configuration(site))?;
    site.write("conf/log4j.properties", LOG)?;
    let property = |name: &str, directory: &str| format!("-Dactivemq.{name}={}", site.path(directory));
    let properties =
        [property("home", "home"), property("base", ""), property("conf", "conf"), property("data", "data")];
    Ok(Launch::new(&program.path)
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(properties.iter().map(String::as_str))
        .args(["-jar", "/usr/share/activemq/bin/activemq.jar", "start"])
        .args([format!("xbean:file:{}", config.display()).as_str()]))
}

fn configuration(site: &Site<'_>) -> String {
    format!(
        r#"<beans xmlns="http://www.springframework.org/schema/beans"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
 http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
 <broker xmlns="http://activemq.apache.org/schema/core" brokerName="lab" dataDirectory="{data}" useJmx="false"
  schedulerSupport="false" useShutdownHook="true">
  <persistenceAdapter><kahaDB directory="{data}/kahadb"/></persistenceAdapter>
  <plugins><simpleAuthenticationPlugin anonymousAccessAllowed="true"/></plugins>
  <sslContext><sslContext keyStore="file:{tls}/broker.p12" keyStoreType="PKCS12" keyStorePassword="{PASSWORD}"
   trustStore="file:{tls}/trust.p12" trustStoreType="PKCS12" trustStorePassword="{PASSWORD}"/></sslContext>
  <transportConnectors>
   <transportConnector name="mqtt" uri="mqtt+nio+ssl://127.0.0.1:{port}?needClientAuth=true"/>
  </transportConnectors>
 </broker>
</beans>
"#,
        data = site.path("data"),
        tls = site.path("tls"),
        port = site.port,
    )
}

const LOG: &str = "log4j.rootLogger=WARN, console\nlog4j.appender.console=org.apache.log4j.ConsoleAppender\n\
                   log4j.appender.console.layout=org.apache.log4j.PatternLayout\n\
                   log4j.appender.console.layout.ConversionPattern=%p %c %m%n\n";

/// Its start-up program takes every archive that it finds in `home/lib`.
fn link_libraries(site: &Site<'_>) -> io::Result<()> {
    let into = site.directory.join("home/lib");
    fs::create_dir_all(&into)?;
    let jars = |directory: &str| -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
        let mut jars = entries.collect::<io::Result<Vec<_>>>()?;
        jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
        Ok(jars)
    };
    let optional = jars(&format!("{LIBRARIES}/optional"))?;
    let more = MORE.map(|name| Path::new(JAVA).join(name));
    for jar in jars(LIBRARIES)?.into_iter().chain(optional).chain(more) {
        let Some(name) = jar.file_name() else { continue };
        // Dangling links of Debian's package are left out.
        if let Ok(target) = jar.canonicalize() {
            symlink(target, into.join(name))?;
        }
    }
    Ok(())
}

/// Java reads no PEM here.
fn stores(site: &Site<'_>) -> io::Result<()> {
    let (files, tls) = (site.files, site.directory.join("tls"));
    let mut openssl = Command::new(find_tool("openssl").map_err(io::Error::other)?);
    openssl.args(["pkcs12", "-export", "-name", "broker", "-passout"]).arg(format!("pass:{PASSWORD}"));
    openssl.arg("-in").arg(&files.broker.cert).arg("-inkey").arg(&files.broker.key);
    run(openssl.arg("-out").arg(tls.join("broker.p12")))?;
    let mut keytool = Command::new(find_tool("keytool").map_err(io::Error::other)?);
    keytool.args(["-importcert", "-noprompt", "-alias", "ca", "-storetype", "PKCS12", "-storepass", PASSWORD]);
    run(keytool.arg("-file").arg(&files.ca).arg("-keystore").arg(tls.join("trust.p12")))
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {said}"))) }
}
