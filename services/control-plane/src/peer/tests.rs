//! Who is local, who is a page of ours, and who is neither.

use super::*;
use axum::http::HeaderValue;

const LOOPBACK: &str = "127.0.0.1";

fn rules(change: impl FnOnce(&mut Config)) -> Rules {
    let mut config = Config::default();
    change(&mut config);
    Rules::new(&config).unwrap()
}

fn judge(rules: &Rules, from: &str, headers: &[(&'static str, &str)]) -> Result<Peer, Turned> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    rules.judge(from.parse().unwrap(), &map)
}

#[test]
fn a_page_is_judged_by_origin_host_and_address() {
    let rules = rules(|config| config.allowed_origins = vec!["https://desk.example/".into()]);
    let origin = |from: &str, origin: &str, host: &str| {
        judge(&rules, from, &[("origin", origin), ("host", host)]).map(|peer| peer.origin)
    };
    let (allowed, foreign) = (Ok(Origin::Allowed), Ok(Origin::Foreign));
    assert_eq!(
        origin(LOOPBACK, "http://127.0.0.1:18789", "127.0.0.1:18789"),
        allowed
    );
    assert_eq!(
        origin(LOOPBACK, "http://localhost:5173", "127.0.0.1:18789"),
        allowed
    );
    assert_eq!(origin("::1", "http://[::1]:18789", "[::1]:18789"), allowed);
    assert_eq!(
        origin("192.0.2.9", "http://192.0.2.1:18789", "192.0.2.1:18789"),
        allowed
    );
    assert_eq!(
        origin("192.0.2.9", "https://desk.example", "192.0.2.1:18789"),
        allowed
    );
    assert_eq!(
        origin("192.0.2.9", "https://desk.example", "desk.example"),
        allowed
    );
    assert_eq!(
        origin(LOOPBACK, "https://evil.example", "127.0.0.1:18789"),
        foreign
    );
    assert_eq!(origin(LOOPBACK, "null", "127.0.0.1:18789"), foreign);
    assert_eq!(
        origin("192.0.2.9", "http://localhost", "192.0.2.1:18789"),
        foreign
    );
    assert_eq!(
        origin(LOOPBACK, "http://localhost.evil.example", "localhost:1"),
        foreign
    );
    assert_eq!(
        origin(LOOPBACK, "http://localhost@evil.example", "localhost:1"),
        foreign
    );
}

#[test]
fn a_rebound_name_is_turned_away_but_a_client_without_origin_is_not() {
    let rules = rules(|config| config.allowed_hosts = vec!["Box.lan".into()]);
    let evil = [
        ("origin", "http://evil.example"),
        ("host", "evil.example:18789"),
    ];
    let turned = judge(&rules, LOOPBACK, &evil).unwrap_err();
    assert_eq!(turned, Turned::Host("evil.example".into()));
    assert!(turned.to_string().contains("allowed_hosts"));
    let own = [
        ("origin", "http://box.lan:18789"),
        ("host", "box.lan:18789"),
    ];
    assert_eq!(
        judge(&rules, "192.0.2.9", &own).unwrap().origin,
        Origin::Allowed
    );
    let client = judge(&rules, LOOPBACK, &[("host", "anything")]).unwrap();
    assert_eq!((client.origin, client.local), (Origin::Absent, true));
}

#[test]
fn a_proxy_makes_nobody_local() {
    let strict = rules(|_| ());
    let far = [("x-forwarded-for", "198.51.100.7")];
    assert_eq!(judge(&strict, LOOPBACK, &far), Err(Turned::Proxy));
    let trusting = rules(|config| config.trusted_proxies = vec![LOOPBACK.parse().unwrap()]);
    let peer = judge(&trusting, LOOPBACK, &far).unwrap();
    assert_eq!(
        (peer.address, peer.local),
        ("198.51.100.7".parse().unwrap(), false)
    );
    let spoofed = [("x-forwarded-for", "127.0.0.1, 198.51.100.7, 127.0.0.1")];
    let peer = judge(&trusting, LOOPBACK, &spoofed).unwrap();
    assert_eq!(peer.address.to_string(), "198.51.100.7");
    let remote = judge(&trusting, "203.0.113.4", &far).unwrap();
    assert_eq!(
        (remote.address.to_string().as_str(), remote.local),
        ("203.0.113.4", false)
    );
}

#[test]
fn a_local_network_is_local_and_nonsense_is_refused() {
    let rules = rules(|config| config.local_networks = vec!["172.16.0.0/12".into()]);
    assert!(judge(&rules, "172.18.0.1", &[]).unwrap().local);
    assert!(judge(&rules, "::ffff:172.18.0.1", &[]).unwrap().local);
    assert!(!judge(&rules, "172.32.0.1", &[]).unwrap().local);
    let wrong = Config {
        local_networks: vec!["172.16/99".into()],
        ..Config::default()
    };
    assert!(Rules::new(&wrong).unwrap_err().contains("172.16/99"));
}

#[test]
fn one_household_is_one_address() {
    let of = |text: &str| household(text.parse().unwrap());
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::1").to_string(), "::1");
}
