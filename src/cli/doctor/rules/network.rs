//! The ways to the backend and to the sign-in service.

use super::super::facts::{Answer, Network, NoAnswer, Proxy, Roots, Route};
use super::super::finding::{Check, Finding, Level};
use super::span;
use crate::cli::exit::Exit;

const TOPIC: Check = Check::Network;
/// Clocks that differ by more are worth a warning,
const ODD: u64 = 30;
/// and by more than this logins are renewed too late, and certificates may not count.
const WRONG: u64 = 5 * 60;

/// Strangers may be turned away where the login `is_accepted`: then nothing is in the way.
pub(super) fn judge(network: &Network, is_accepted: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = network.roots.iter().map(roots).collect();
    findings.extend(proxy(&network.backend));
    findings.extend(route(&network.backend, is_accepted));
    findings.extend(clock(&network.backend));
    if let Some(issuer) = &network.issuer {
        // A login lives without it for days; and it has pages for browsers, as it should.
        let problems = route(issuer, true).into_iter();
        let problems = problems.filter(|finding| matches!(finding.level, Level::Problem(_)));
        findings.extend(problems.map(|finding| {
            let text = format!("sign-in service: {}", finding.text);
            Finding { level: Level::Warning, code: "network.issuer", text, ..finding }
        }));
    }
    findings
}

fn roots(roots: &Roots) -> Finding {
    let Roots { variable, path, problem } = roots;
    let path = path.display();
    match problem {
        None => {
            let text = format!("certificates in {path} are trusted as well ({variable})");
            Finding::good(TOPIC, "network.certificates", text)
        }
        Some(problem) => {
            let text = format!("{variable}: {problem}");
            Finding::problem(TOPIC, Exit::Config, "network.bad-certificates", text)
                .fix(format!("set {variable} to a readable file of PEM certificates, or unset it"))
        }
    }
}

fn proxy(route: &Route) -> Option<Finding> {
    let Proxy { scheme, place } = route.proxy.as_ref()?;
    if scheme.starts_with("socks") {
        let text = format!(
            "the environment sends {} through a SOCKS proxy ({place}), which codex-proxy does \
             not support",
            route.target
        );
        let mend = "set HTTPS_PROXY to an HTTP proxy, or add the host to NO_PROXY";
        return Some(Finding::problem(TOPIC, Exit::Config, "network.socks", text).fix(mend));
    }
    let text = format!("{} is reached through the proxy {place}", route.target);
    Some(Finding::note(TOPIC, "network.proxy", text))
}

/// The first step that did not come about, or that all did.
fn route(route: &Route, may_be_a_page: bool) -> Vec<Finding> {
    let (target, via) = (&route.target, via(route));
    let problem = |code, text: String| Finding::problem(TOPIC, Exit::Unavailable, code, text);
    let addresses = match &route.resolved {
        Ok(addresses) => addresses,
        Err(cause) => {
            let host = via.rsplit_once(':').map_or(via, |(host, _)| host);
            let text = format!("cannot resolve {host}: {cause}");
            let mend = "check the network and DNS (on Linux /etc/resolv.conf)";
            return vec![problem("network.dns", text).fix(mend)];
        }
    };
    let took = match &route.connected {
        None => return Vec::new(),
        Some(Ok(took)) => took,
        Some(Err(cause)) => {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let text = format!("no connection to {via} ({}): {cause}", list.join(", "));
            let mend = if route.proxy.is_some() {
                "check HTTPS_PROXY and ALL_PROXY, and whether the proxy runs"
            } else {
                "check the network and its firewall; if a proxy is needed, set HTTPS_PROXY"
            };
            return vec![problem("network.connect", text).fix(mend)];
        }
    };
    match &route.answered {
        None => Vec::new(),
        Some(Ok(answer)) if answer.is_page && !may_be_a_page => vec![blocked(target, answer)],
        Some(Ok(_)) => vec![answers(route, took.as_millis())],
        Some(Err(NoAnswer { while_connecting: true, cause })) if route.proxy.is_some() => {
            let text = format!("the proxy refuses CONNECT to {target}: {cause}");
            let mend = "check what the proxy allows and whether it needs a password; if it \
                        intercepts TLS, set CODEX_CA_CERTIFICATE to its certificate";
            vec![problem("network.tunnel", text).fix(mend)]
        }
        Some(Err(NoAnswer { while_connecting: true, cause })) => {
            let text = format!("cannot open a TLS connection to {target}: {cause}");
            let mend = "if a proxy or firewall intercepts TLS, set CODEX_CA_CERTIFICATE to its \
                        certificate; otherwise check this machine's certificates and clock";
            vec![problem("network.tls", text).fix(mend)]
        }
        Some(Err(NoAnswer { while_connecting: false, cause })) => {
            let text = format!("{target} accepts connections but does not answer: {cause}");
            let mend = "try again later or from another network, and check `[upstream] base_url`";
            vec![problem("network.http", text).fix(mend)]
        }
    }
}

fn via(route: &Route) -> &str {
    route.proxy.as_ref().map_or(&route.target, |proxy| &proxy.place)
}

fn blocked(target: &str, answer: &Answer) -> Finding {
    let text = format!(
        "{target} answers HTTP {} with an HTML page: a proxy or Cloudflare blocks this network",
        answer.status
    );
    let mend = "try again later or from another network; those of data centres and VPNs are \
                often blocked";
    Finding::warning(TOPIC, "network.blocked", text).fix(mend)
}

fn answers(route: &Route, milliseconds: u128) -> Finding {
    let Route { target, is_encrypted, .. } = route;
    let encrypted = if *is_encrypted { " over TLS" } else { "" };
    let text = format!("{target} answers{encrypted}; connecting took {milliseconds} ms");
    Finding::good(TOPIC, "network.answers", text)
}

fn clock(route: &Route) -> Option<Finding> {
    let Some(Ok(Answer { clocks: Some((theirs, ours)), .. })) = &route.answered else {
        return None;
    };
    let ahead = ours.as_second() - theirs.as_second();
    let off = ahead.unsigned_abs();
    if off <= ODD {
        return Some(Finding::good(TOPIC, "network.clock", "this machine's clock is correct"));
    }
    let way = if ahead > 0 { "fast" } else { "slow" };
    let text = format!("this machine's clock is {} {way}", span(off));
    let finding = if off > WRONG {
        Finding::problem(TOPIC, Exit::Internal, "network.clock-wrong", text)
    } else {
        Finding::warning(TOPIC, "network.clock-odd", text)
    };
    Some(finding.fix("enable NTP (on Linux: timedatectl set-ntp true)"))
}
