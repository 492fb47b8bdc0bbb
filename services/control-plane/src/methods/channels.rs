//! Accounts on platforms: how they do, and having them stopped and begun again.

use bus::Bucket;
use proto::v1::{Connection, Hold};

use super::{Call, Method, method};
use crate::refusal::Refusal;

mod login;
mod running;
mod status;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("channels.status", Read, status::status),
    method!("channels.start", Admin, running::start),
    method!("channels.stop", Admin, running::stop),
    method!("channels.logout", Admin, running::logout),
    method!("web.login.start", Admin, login::start),
    method!("web.login.wait", Admin, login::wait),
];

/// An account that has run here.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// Its key in the bucket `connections`.
    pub(super) key: String,
    pub(super) connection: Connection,
    /// It neither hears nor sends: an operator has stopped it.
    pub(super) held: bool,
}

/// All accounts that have run here, by platform and name.
pub(super) async fn accounts(call: &Call) -> Result<Vec<Account>, Refusal> {
    let bus = &call.gateway.bus;
    let known = bus.bucket(Bucket::Connections).all::<Connection>().await?;
    let config = bus.bucket(Bucket::Config).all::<Hold>().await?;
    let held: Vec<_> = config
        .iter()
        .filter_map(|(key, ..)| key.strip_prefix("held."))
        .collect();
    let mut accounts: Vec<_> = known
        .into_iter()
        .map(|(key, connection, _)| Account {
            held: held.contains(&key.as_str()),
            key,
            connection,
        })
        .collect();
    accounts.sort_by(|a, b| {
        let name = |it: &Account| {
            (
                it.connection.platform.clone(),
                it.connection.account.clone(),
            )
        };
        name(a).cmp(&name(b))
    });
    Ok(accounts)
}

/// The account that a client means: its main one, or the only one, where it names none.
///
/// # Errors
/// [`Refusal::Invalid`] in the words of the reference where there is no such platform; with the accounts that there are
/// where there is no such account.
pub(super) fn chosen(
    accounts: Vec<Account>,
    channel: &str,
    account: Option<&str>,
    unknown: &str,
) -> Result<Account, Refusal> {
    let channel = channel.trim().to_lowercase();
    let mut there: Vec<_> = accounts
        .into_iter()
        .filter(|one| one.connection.platform == channel)
        .collect();
    if there.is_empty() {
        return Err(Refusal::Invalid(unknown.to_owned()));
    }
    let wanted = account.map(str::trim).filter(|name| !name.is_empty());
    let found = match wanted {
        Some(name) => there.iter().position(|one| one.connection.account == name),
        None if there.len() == 1 => Some(0),
        None => there
            .iter()
            .position(|one| one.connection.account == "main"),
    };
    match found {
        Some(at) => Ok(there.swap_remove(at)),
        None => {
            let names: Vec<_> = there
                .iter()
                .map(|one| one.connection.account.as_str())
                .collect();
            Err(Refusal::Invalid(format!(
                "say which account of {channel} with accountId: {}",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(platform: &str, name: &str) -> Account {
        Account {
            key: format!("{platform}.{name}"),
            connection: Connection {
                platform: platform.into(),
                account: name.into(),
                ..Connection::default()
            },
            held: false,
        }
    }

    #[test]
    fn an_account_is_found_by_name_or_because_it_is_the_main_or_only_one() {
        let all = || {
            vec![
                account("signal", "a"),
                account("telegram", "main"),
                account("telegram", "shop"),
            ]
        };
        let key =
            |channel: &str, name: Option<&str>| chosen(all(), channel, name, "no").map(|it| it.key);
        assert_eq!(key("Telegram", None).unwrap(), "telegram.main");
        assert_eq!(key("telegram", Some("shop")).unwrap(), "telegram.shop");
        assert_eq!(key("signal", Some("")).unwrap(), "signal.a");
        assert_eq!(key("nope", None), Err(Refusal::Invalid("no".into())));
        let Err(Refusal::Invalid(why)) = key("telegram", Some("x")) else {
            panic!()
        };
        assert!(why.ends_with("main, shop"), "{why}");
    }
}
