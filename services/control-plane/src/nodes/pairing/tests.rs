//! What a node may be asked for, case by case.

use super::*;

fn surface(commands: &[&str]) -> NodeSurface {
    NodeSurface {
        caps: vec!["system".into()],
        commands: commands.iter().map(|&name| name.into()).collect(),
        permissions: Vec::new(),
    }
}

fn introduction(protocol: u32, commands: &[&str], request_id: &str) -> Introduction {
    Introduction {
        id: "n".into(),
        program: NodeProgram::default(),
        connection: NodeConnection {
            protocol,
            connected_at_ms: 7,
            declared: Some(surface(commands)),
            ..NodeConnection::default()
        },
        silent: true,
        request_id: request_id.into(),
        all_wait: false,
    }
}

fn request(node: &Node) -> Option<&str> {
    node.request.as_ref().map(|request| request.id.as_str())
}

#[test]
fn a_node_of_protocol_4_may_be_asked_for_nothing_until_it_is_approved() {
    let (node, news) = introduce(None, &introduction(4, &["system.which"], "r1"));
    assert!(news);
    assert_eq!(effective(&node), NodeSurface::default());
    let (again, news) = introduce(
        Some(node.clone()),
        &introduction(4, &["system.which"], "r2"),
    );
    assert!(!news, "the same is asked once");
    assert_eq!(request(&again), Some("r1"));
    assert_eq!(approve(again.clone(), "r2", 9), None);
    let approved = approve(again, "r1", 9).unwrap();
    assert_eq!(effective(&approved).commands, ["system.which"]);
    assert_eq!((approved.approved_at_ms, request(&approved)), (9, None));
}

#[test]
fn what_comes_on_top_of_an_approval_waits_and_the_rest_stays_allowed() {
    let (node, _) = introduce(None, &introduction(4, &["system.which"], "r1"));
    let node = approve(node, "r1", 9).unwrap();
    let (more, news) = introduce(
        Some(node),
        &introduction(4, &["system.which", "system.run"], "r2"),
    );
    assert!(news);
    assert_eq!(request(&more), Some("r2"));
    assert_eq!(effective(&more).commands, ["system.which"]);
    let (less, news) = introduce(Some(more), &introduction(4, &["system.which"], "r3"));
    assert!(!news);
    assert_eq!(request(&less), None, "nothing is asked for any more");
}

#[test]
fn a_node_of_protocol_3_is_approved_with_its_device_unless_it_knows_better() {
    let old = introduction(3, &["system.run"], "r1");
    let (node, news) = introduce(None, &old);
    assert!(!news);
    assert_eq!(effective(&node).commands, ["system.run"]);
    let strict = Introduction {
        all_wait: true,
        ..old.clone()
    };
    let (node, news) = introduce(Some(node), &strict);
    assert!(!news, "what was approved stays approved");
    assert_eq!(effective(&node).commands, ["system.run"]);
    let (waiting, news) = introduce(None, &strict);
    assert!(news && effective(&waiting).commands.is_empty());

    let (new, _) = introduce(None, &introduction(4, &["system.run"], "r1"));
    let (downgraded, _) = introduce(Some(new), &old);
    assert_eq!(effective(&downgraded), NodeSurface::default());
    assert_eq!(request(&downgraded), Some("r1"));
}

#[test]
fn a_permission_is_granted_where_both_sides_say_so() {
    let with = |granted| NodeSurface {
        permissions: vec![NodePermission {
            name: "screen".into(),
            granted,
        }],
        ..surface(&[])
    };
    let mut asked = introduction(4, &[], "r1");
    asked.connection.declared = Some(with(false));
    let (node, _) = introduce(None, &asked);
    let node = approve(node, "r1", 9).unwrap();
    assert!(!effective(&node).permissions[0].granted);
    asked.connection.declared = Some(with(true));
    let (more, news) = introduce(Some(node), &asked);
    assert!(news && !effective(&more).permissions[0].granted);
}

#[test]
fn the_more_a_node_can_do_the_more_approving_it_takes() {
    let of = |commands: &[&str]| {
        scopes(
            &commands
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(of(&[]), [Scope::Pairing]);
    assert_eq!(of(&["canvas.present"]), [Scope::Pairing, Scope::Write]);
    for command in ["system.run", "system.which", "browser.proxy", "fs.listDir"] {
        assert_eq!(
            of(&["canvas.present", command]),
            [Scope::Pairing, Scope::Admin]
        );
    }
}
