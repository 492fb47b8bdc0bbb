//! Which commands a node of a platform may be asked for at all; pure.
//!
//! Names as the clients of 2026.1.29 to 2026.9.6 declare them, read 2026-11-20.

use std::collections::BTreeSet;

use proto::v1::{Node, NodeProgram, NodeSurface};

use super::pairing::effective;
use crate::Config;

/// Runs programs, or says which there are.
const RUN: [&str; 3] = ["system.run", "system.run.prepare", "system.which"];
/// The node's own rules for what may run.
const EXEC_APPROVALS: [&str; 2] = ["system.execApprovals.get", "system.execApprovals.set"];
/// Only an admin may ask for them: they reach into the machine past its own rules.
const ADMIN_ONLY: [&str; 4] = [
    "browser.proxy",
    "browser.proxy.upload.v1",
    "fs.listDir",
    "terminal.upload",
];
const DESKTOP: [&str; 4] = [
    "system.notify",
    "mcp.tools.call.v1",
    "screen.snapshot",
    "computer.act",
];
const CANVAS: [&str; 8] = [
    "canvas.present",
    "canvas.hide",
    "canvas.navigate",
    "canvas.eval",
    "canvas.snapshot",
    "canvas.a2ui.push",
    "canvas.a2ui.pushJSONL",
    "canvas.a2ui.reset",
];
const PERSONAL: [&str; 8] = [
    "camera.list",
    "location.get",
    "device.info",
    "device.status",
    "contacts.search",
    "calendar.events",
    "reminders.list",
    "photos.latest",
];
const MOTION: [&str; 2] = ["motion.activity", "motion.pedometer"];
const ANDROID: [&str; 8] = [
    "notifications.list",
    "notifications.actions",
    "device.permissions",
    "device.health",
    "device.apps",
    "callLog.search",
    "mobile.ui.observe",
    "mobile.ui.act",
];
const UNKNOWN: [&str; 3] = ["camera.list", "location.get", "system.notify"];
const TALK: [&str; 4] = [
    "talk.ptt.start",
    "talk.ptt.stop",
    "talk.ptt.cancel",
    "talk.ptt.once",
];
/// Takes the setting `gateway.node_commands_allow`, whatever a node declares and whoever approved it.
const DANGEROUS: [&str; 10] = [
    "camera.snap",
    "camera.clip",
    "camera.ptz.control",
    "screen.record",
    "contacts.add",
    "calendar.add",
    "reminders.add",
    "sms.send",
    "sms.search",
    "health.summary",
];
/// Names of commands kept of one node; each has at most [`NAME_BYTES`].
const MOST: usize = 512;
const NAME_BYTES: usize = 128;

/// What the settings add and take away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    allow: BTreeSet<String>,
    deny: BTreeSet<String>,
}

/// Why a node is not asked, as the protocol names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// "command not allowlisted", "command not declared by node", "node did not declare commands".
    pub(crate) reason: &'static str,
    /// For people, without the words that all of them begin with.
    pub(crate) hint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    Ios,
    Watch,
    Android,
    Mac,
    Linux,
    Windows,
    Unknown,
}

impl Policy {
    /// Of the settings.
    pub(crate) fn new(config: &Config) -> Self {
        let set = |names: &[String]| {
            let names = names.iter().map(|name| name.trim().to_owned());
            names.filter(|name| !name.is_empty()).collect()
        };
        Self {
            allow: set(&config.node_commands_allow),
            deny: set(&config.node_commands_deny),
        }
    }

    /// What a node declares, without the commands that it cannot be asked for whatever is approved.
    pub(crate) fn declarable(
        &self,
        program: &NodeProgram,
        mut declared: NodeSurface,
    ) -> NodeSurface {
        let platform = Platform::of(program);
        let mut known = BTreeSet::new();
        declared.commands.retain(|name| {
            let can =
                self.has(platform, &declared.caps, name) || DANGEROUS.contains(&name.as_str());
            can && known.len() < MOST && name.len() <= NAME_BYTES && known.insert(name.clone())
        });
        declared
    }

    /// Whether `node` may be asked for `command` now.
    ///
    /// # Errors
    /// [`Denied`].
    pub(crate) fn check(&self, node: &Node, command: &str) -> Result<(), Denied> {
        let connection = node.connection.as_ref();
        let declared = connection
            .and_then(|at| at.declared.clone())
            .unwrap_or_default();
        let program = node.program.clone().unwrap_or_default();
        let is = |name: &String| name == command;
        let effective = effective(node).commands;
        if !effective.iter().any(is) && declared.commands.iter().any(is) {
            return Err(Denied {
                reason: "node did not declare commands",
                hint: "the node's declared command surface is pending approval; run `openclaw nodes pending`, then \
                       `openclaw nodes approve <requestId>`"
                    .into(),
            });
        }
        if self.deny.contains(command) {
            let hint = format!("\"{command}\" is blocked by gateway.node_commands_deny");
            return Err(Denied::not_allowed(hint));
        }
        if DANGEROUS.contains(&command) && !self.allow.contains(command) {
            let hint =
                format!("\"{command}\" requires explicit gateway.node_commands_allow opt-in");
            return Err(Denied::not_allowed(hint));
        }
        if !self.has(Platform::of(&program), &declared.caps, command) {
            let platform = match program.platform.as_str() {
                "" => "unknown",
                platform => platform,
            };
            let hint = format!("\"{command}\" is not in the allowlist for platform \"{platform}\"");
            return Err(Denied::not_allowed(hint));
        }
        if effective.is_empty() {
            return Err(Denied {
                reason: "node did not declare commands",
                hint: "the node did not declare any supported commands".into(),
            });
        }
        match effective.iter().any(is) {
            true => Ok(()),
            false => Err(Denied {
                reason: "command not declared by node",
                hint: format!(
                    "the node (platform: {}) does not support \"{command}\"",
                    program.platform
                ),
            }),
        }
    }

    /// Whether the settings and the platform have `command`, dangerous or not.
    fn has(&self, platform: Platform, caps: &[String], command: &str) -> bool {
        if self.deny.contains(command) || is_private(command) {
            return false;
        }
        let talks = caps.iter().any(|cap| cap.eq_ignore_ascii_case("talk"));
        self.allow.contains(command) || platform.has(command) || (talks && TALK.contains(&command))
    }
}

impl Denied {
    fn not_allowed(hint: String) -> Self {
        Self {
            reason: "command not allowlisted",
            hint,
        }
    }
}

/// Whether approving it takes an admin.
pub(super) fn runs_programs(command: &str) -> bool {
    is_admin_only(command) || RUN.contains(&command) || is_exec_approvals(command)
}

/// Whether only an admin may ask a node for it.
pub(crate) fn is_admin_only(command: &str) -> bool {
    ADMIN_ONLY.contains(&command)
}

/// Whether it reads or changes the node's own rules for what may run.
pub(crate) fn is_exec_approvals(command: &str) -> bool {
    EXEC_APPROVALS.contains(&command)
}

/// Whether only the gateway itself asks a node for it.
pub(crate) fn is_private(command: &str) -> bool {
    command.starts_with("worker.")
}

impl Platform {
    fn of(program: &NodeProgram) -> Self {
        let (name, family) = (program.platform.trim(), program.device_family.trim());
        let (name, family) = (name.to_ascii_lowercase(), family.to_ascii_lowercase());
        let word = name.split([' ', '-']).next().unwrap_or_default();
        let said = match word {
            "ios" | "ipados" => Self::Ios,
            "watchos" => Self::Watch,
            "android" => Self::Android,
            "macos" | "darwin" => Self::Mac,
            "linux" => Self::Linux,
            "windows" | "win32" => Self::Windows,
            "" => return Self::of_family(&family),
            _ => Self::Unknown,
        };
        // A machine that contradicts itself gets what an unknown one gets.
        match family.is_empty() || Self::of_family(&family) == said {
            true => said,
            false => Self::Unknown,
        }
    }

    fn of_family(family: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| family.contains(word));
        match family {
            _ if has(&["watch"]) => Self::Watch,
            _ if has(&["iphone", "ipad", "ios"]) => Self::Ios,
            _ if has(&["android"]) => Self::Android,
            _ if has(&["mac", "darwin"]) => Self::Mac,
            _ if has(&["windows"]) => Self::Windows,
            _ if has(&["linux"]) => Self::Linux,
            _ => Self::Unknown,
        }
    }

    fn has(self, command: &str) -> bool {
        let lists: &[&[&str]] = match self {
            Self::Ios => &[
                &CANVAS,
                &PERSONAL,
                &MOTION,
                &["system.notify", "watch.status", "watch.notify"],
            ],
            Self::Watch => &[&["device.info", "device.status", "system.notify"]],
            Self::Android => &[&CANVAS, &PERSONAL, &MOTION, &ANDROID, &["system.notify"]],
            Self::Mac => &[
                &CANVAS,
                &PERSONAL,
                &MOTION,
                &RUN,
                &EXEC_APPROVALS,
                &ADMIN_ONLY,
                &DESKTOP,
                &["camera.ptz.status", "device.apps"],
            ],
            Self::Linux => &[&RUN, &EXEC_APPROVALS, &ADMIN_ONLY, &DESKTOP],
            Self::Windows => &[
                &RUN,
                &EXEC_APPROVALS,
                &ADMIN_ONLY,
                &DESKTOP,
                &[
                    "camera.list",
                    "location.get",
                    "device.info",
                    "device.status",
                ],
            ],
            Self::Unknown => &[&UNKNOWN],
        };
        lists.iter().any(|list| list.contains(&command))
    }
}

#[cfg(test)]
mod tests;
