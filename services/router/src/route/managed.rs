//! Changes of the session itself that an operator ordered.

use proto::v1::{Change, Compacted, Managed, Removed, Reset, event::What};

use super::{About, Decision};
use crate::store::Session;

impl About<'_> {
    /// Does what an operator ordered, behind what was said before.
    pub(super) fn managed(&self, managed: &Managed, session: &mut Session) -> Decision {
        // Anybody may write to a platform; only the control plane speaks for operators.
        let platform = self.inbound.address.as_ref().map(|it| it.platform.as_str());
        if platform != Some("webchat") {
            return self.silence("only an operator may change a session");
        }
        match managed.change() {
            Change::Reset => {
                session.begin_anew(self.now_ms);
                let reset = Reset {
                    session_id: session.id.clone(),
                };
                Decision {
                    cancel: Some(self.cancel()),
                    events: vec![self.event("reset", What::Reset(reset))],
                    session: Some(session.clone()),
                    ..Decision::default()
                }
            }
            Change::Remove => {
                let removed = Removed {
                    erase: managed.erase,
                };
                Decision {
                    cancel: Some(self.cancel()),
                    events: vec![self.event("removed", What::Removed(removed))],
                    forget: true,
                    ..Decision::default()
                }
            }
            Change::Compact => {
                session.compactions += 1;
                let compacted = Compacted { keep: managed.keep };
                Decision {
                    events: vec![self.event("compacted", What::Compacted(compacted))],
                    session: Some(session.clone()),
                    ..Decision::default()
                }
            }
            Change::Unspecified => self.silence("an unknown change of the session"),
        }
    }
}
