//! What an operator may do.

/// A permission of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// See everything.
    Read,
    /// Send messages, run agents.
    Write,
    /// Everything.
    Admin,
    /// Decide what agents may execute.
    Approvals,
    /// Answer questions of agents.
    Questions,
    /// Let people and devices in.
    Pairing,
    /// Talk mode.
    Talk,
    /// Credentials of talk mode.
    TalkSecrets,
}

impl Scope {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::Admin,
        Self::Approvals,
        Self::Questions,
        Self::Pairing,
        Self::Talk,
        Self::TalkSecrets,
    ];

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "operator.read",
            Self::Write => "operator.write",
            Self::Admin => "operator.admin",
            Self::Approvals => "operator.approvals",
            Self::Questions => "operator.questions",
            Self::Pairing => "operator.pairing",
            Self::Talk => "operator.talk",
            Self::TalkSecrets => "operator.talk.secrets",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == name);
        found.ok_or(())
    }
}

/// What one connection may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<Scope>);

impl Scopes {
    /// What of `asked` the shared secret grants: every scope there is. Unknown ones are left out.
    ///
    /// Asking narrows and never widens: who asks for nothing gets nothing.
    pub(crate) fn granted<'a>(asked: impl Iterator<Item = &'a str>) -> Self {
        let mut scopes = Vec::new();
        for name in asked {
            if let Ok(scope) = name.parse()
                && !scopes.contains(&scope)
            {
                scopes.push(scope);
            }
        }
        Self(scopes)
    }

    /// Every scope.
    pub(crate) fn all() -> Self {
        Self(Scope::ALL.to_vec())
    }

    /// The first of them that `bound` does not allow.
    pub(crate) fn beyond(&self, bound: &Self) -> Option<Scope> {
        self.0.iter().copied().find(|&scope| !bound.allow(scope))
    }

    /// Whether they include `wanted`: admin includes all, write includes read and talk.
    pub(crate) fn allow(&self, wanted: Scope) -> bool {
        let implied = matches!(wanted, Scope::Read | Scope::Talk);
        self.0.iter().any(|&scope| {
            scope == wanted || scope == Scope::Admin || (implied && scope == Scope::Write)
        })
    }

    /// Their names, as asked.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.name()).collect()
    }

    /// Their names, for a record.
    pub(crate) fn owned_names(&self) -> Vec<String> {
        self.0.iter().map(|scope| scope.name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_includes_all_and_write_includes_read() {
        let scopes = |names: &[&str]| Scopes::granted(names.iter().copied());
        assert!(
            Scope::ALL
                .iter()
                .all(|&scope| scopes(&["operator.admin"]).allow(scope))
        );
        assert!(scopes(&["operator.write"]).allow(Scope::Read));
        assert!(!scopes(&["operator.write"]).allow(Scope::Approvals));
        assert!(!scopes(&["operator.read"]).allow(Scope::Write));
    }

    #[test]
    fn who_asks_for_nothing_known_gets_nothing() {
        let asked = ["operator.read", "root", "operator.read"];
        assert_eq!(
            Scopes::granted(asked.into_iter()).names(),
            ["operator.read"]
        );
        assert!(
            Scope::ALL
                .iter()
                .all(|&scope| !Scopes::default().allow(scope))
        );
    }

    proptest::proptest! {
        #[test]
        fn asking_never_widens(asked in proptest::collection::vec("(operator\\.)?[a-z.]{0,14}", 0..12), pick in 0..256_usize) {
            let named = (0..8).filter(|bit| pick & (1 << bit) != 0).map(|bit| Scope::ALL[bit].name().to_owned());
            let asked: Vec<String> = asked.into_iter().chain(named).collect();
            let granted = Scopes::granted(asked.iter().map(String::as_str)).names();
            proptest::prop_assert!(granted.iter().all(|name| asked.iter().any(|one| one == name)));
        }
    }
}
