//! A bridge without a certificate, or with one of another CA, is not let in, and says what to set.

use sandbox::certs::{IdentityFiles, Pki};
use sandbox::lab::Stranger;
use sandbox::lambda::{Answer, Function};
use sandbox::world::FUNCTION;

use super::bench::{Bench, Seen};
use crate::common::eventually;
use crate::replica::Replica;

pub async fn are_not_let_in(bench: Bench) -> Seen {
    let function = Function::inline(FUNCTION, |_| async { Answer::null() });
    let mut stage = bench.stage(function, "").await;
    let foreign = Pki::generate().unwrap().write_to(&stage.world.directory().join("foreign")).unwrap();
    let (own, foreign) = (named(&stage.world.files.bridge), named(&foreign.bridge));
    let mut seen = Seen::default();
    let mut notes = Vec::new();
    let changes = [(Stranger::OfAnotherCa, own, foreign.as_str()), (Stranger::WithoutCertificate, foreign.clone(), "")];
    for (stranger, from, to) in changes {
        stage.change(&from, to);
        let answer = answer(&stage.launch().await).await;
        let is_let_in = answer.is_none();
        let answer = format!("{stranger:?}: {}", answer.as_deref().unwrap_or("is let in"));
        seen.must(is_let_in == bench.habits.lets_in.contains(&stranger), answer.clone());
        let helps = is_let_in || answer.contains("tls.cert_file") || answer.contains("certificate of ours");
        seen.must(helps, format!("{answer}, which does not say what to set"));
        notes.push(answer);
    }
    seen.note = notes.join("; ");
    seen
}

/// As the configuration names them.
fn named(files: &IdentityFiles) -> String {
    format!(", cert_file = \"{}\", key_file = \"{}\"", files.cert.display(), files.key.display())
}

/// Why the broker does not let it in; none when it does.
async fn answer(bridge: &Replica) -> Option<String> {
    let failed = || ["broker.lost", "broker.refused"].iter().flat_map(|event| bridge.logged(event)).next();
    let connected = || !bridge.logged("broker.connected").is_empty();
    eventually("the broker lets it in, or does not", || connected() || failed().is_some()).await;
    if connected() { None } else { Some(failed()?["reason"].as_str()?.to_owned()) }
}
