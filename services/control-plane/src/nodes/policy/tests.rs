//! Which commands which machine may be asked for.

use proto::v1::NodeConnection;

use super::*;

fn program(platform: &str, family: &str) -> NodeProgram {
    NodeProgram {
        platform: platform.into(),
        device_family: family.into(),
        ..NodeProgram::default()
    }
}

fn surface(commands: &[&str]) -> NodeSurface {
    NodeSurface {
        commands: commands.iter().map(|&name| name.into()).collect(),
        ..NodeSurface::default()
    }
}

fn node(program: NodeProgram, declared: &[&str], approved: Option<&[&str]>) -> Node {
    Node {
        program: Some(program),
        approved: approved.map(surface),
        connection: Some(NodeConnection {
            declared: Some(surface(declared)),
            ..NodeConnection::default()
        }),
        ..Node::default()
    }
}

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Policy::new(&Config {
        node_commands_allow: all(allow),
        node_commands_deny: all(deny),
        ..Config::default()
    })
}

fn reason(policy: &Policy, node: &Node, command: &str) -> &'static str {
    policy
        .check(node, command)
        .err()
        .map_or("allowed", |denied| denied.reason)
}

#[test]
fn nothing_is_allowed_before_it_is_approved() {
    let linux = program("linux", "Linux");
    let waiting = node(linux.clone(), &["system.which"], None);
    let denied = policy(&[], &[])
        .check(&waiting, "system.which")
        .unwrap_err();
    assert_eq!(denied.reason, "node did not declare commands");
    assert!(denied.hint.contains("openclaw nodes approve"));
    let approved = node(linux, &["system.which"], Some(&["system.which"]));
    assert_eq!(
        reason(&policy(&[], &[]), &approved, "system.which"),
        "allowed"
    );
    assert_eq!(
        reason(&policy(&[], &[]), &approved, "system.run"),
        "command not declared by node"
    );
}

#[test]
fn a_platform_has_its_commands_and_no_others() {
    let all = ["system.run", "canvas.present", "custom.echo"];
    let of = |platform: &str, family: &str| node(program(platform, family), &all, Some(&all));
    let policy = policy(&[], &[]);
    let outcome = |node: &Node| all.map(|command| reason(&policy, node, command) == "allowed");
    assert_eq!(outcome(&of("linux", "Linux")), [true, false, false]);
    assert_eq!(outcome(&of("linux", "")), [true, false, false]);
    assert_eq!(outcome(&of("darwin", "")), [true, true, false]);
    assert_eq!(outcome(&of("iOS 26.1", "iPhone")), [false, true, false]);
    assert_eq!(
        outcome(&of("linux", "iPhone")),
        [false, false, false],
        "it contradicts itself"
    );
    assert_eq!(outcome(&of("toaster", "")), [false, false, false]);
    let denied = policy.check(&of("linux", ""), "custom.echo").unwrap_err();
    assert_eq!(
        denied.hint,
        "\"custom.echo\" is not in the allowlist for platform \"linux\""
    );
}

#[test]
fn what_is_dangerous_takes_a_setting_and_a_setting_can_take_away() {
    let phone = node(
        program("android", "Android"),
        &["sms.send", "location.get"],
        Some(&["sms.send", "location.get"]),
    );
    assert_eq!(
        reason(&policy(&[], &[]), &phone, "sms.send"),
        "command not allowlisted"
    );
    assert_eq!(
        reason(&policy(&["sms.send"], &[]), &phone, "sms.send"),
        "allowed"
    );
    assert_eq!(
        reason(&policy(&["sms.send"], &["sms.send"]), &phone, "sms.send"),
        "command not allowlisted"
    );
    assert_eq!(
        reason(&policy(&[], &["location.get"]), &phone, "location.get"),
        "command not allowlisted"
    );
}

#[test]
fn a_declaration_keeps_what_the_platform_has_once_and_bounded() {
    let policy = policy(&["custom.echo"], &[]);
    let declared = surface(&[
        "system.run",
        "system.run",
        "worker.launch.v1",
        "custom.echo",
        "made.up",
        "screen.record",
    ]);
    let kept = policy.declarable(&program("linux", ""), declared).commands;
    assert_eq!(kept, ["system.run", "custom.echo", "screen.record"]);
}
