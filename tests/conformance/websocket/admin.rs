//! The gRPC admin API: letting people in.

use bus::Bucket;
use chassis::clock::now_ms;
use proto::{
    id,
    v1::{PairingDecision, PairingEntry, PairingListRequest, pairing_client::PairingClient},
};
use tonic::{
    Code, Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::*;

/// Sends a token with every call.
struct Bearer(Option<&'static str>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.0 {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        Ok(request)
    }
}

type Admin = PairingClient<InterceptedService<Channel, Bearer>>;

async fn admin(gateway: &Gateway, token: Option<&'static str>) -> Admin {
    let channel = Channel::from_shared(format!("http://{}", gateway.admin)).unwrap();
    PairingClient::with_interceptor(channel.connect().await.unwrap(), Bearer(token))
}

/// Plays the router: `sender` asked to be let in.
async fn ask(gateway: &Gateway, code: &str, sender: &str, expires_at_ms: i64) {
    let entry = PairingEntry {
        code: code.into(),
        platform: "telegram".into(),
        account: "main".into(),
        sender_id: sender.into(),
        sender_name: "Ada".into(),
        asked_at_ms: now_ms(),
        expires_at_ms,
        decided_at_ms: 0,
    };
    gateway
        .bus
        .bucket(Bucket::People)
        .put(&format!("ask.{code}"), &entry)
        .await
        .unwrap();
}

fn decision(code: &str) -> PairingDecision {
    PairingDecision { code: code.into() }
}

#[tokio::test]
async fn a_person_is_let_in_once_and_the_same_call_again_says_the_same() {
    let gateway = Gateway::start().await;
    let mut admin = admin(&gateway, Some(TOKEN)).await;
    let later = now_ms() + 3_600_000;
    ask(&gateway, "ABCD2345", "42", later).await;
    ask(&gateway, "WXYZ6789", "43", later).await;
    let all = || PairingListRequest {
        platform: "telegram".into(),
    };
    let list = admin.list(all()).await.unwrap().into_inner();
    assert_eq!((list.pending.len(), list.approved.len()), (2, 0));

    let entry = admin
        .approve(decision("abcd-2345"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (entry.sender_id.as_str(), entry.decided_at_ms > 0),
        ("42", true)
    );
    let again = admin
        .approve(decision("ABCD2345"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, entry);
    let key = format!("ok.telegram.main.{}", id::of_session("42"));
    let kept = gateway
        .bus
        .bucket(Bucket::People)
        .get::<PairingEntry>(&key)
        .await
        .unwrap();
    assert_eq!(kept.map(|(kept, _)| kept), Some(entry));

    admin.reject(decision("WXYZ6789")).await.unwrap();
    let gone = admin.reject(decision("WXYZ6789")).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let list = admin.list(all()).await.unwrap().into_inner();
    assert_eq!((list.pending.len(), list.approved.len()), (0, 1));
}

#[tokio::test]
async fn what_cannot_be_decided_says_what_to_do() {
    let gateway = Gateway::start().await;
    let mut admin = admin(&gateway, Some(TOKEN)).await;
    ask(&gateway, "ABCD2345", "42", now_ms() - 1).await;
    let late = admin.approve(decision("ABCD2345")).await.unwrap_err();
    assert_eq!(late.code(), Code::NotFound);
    assert!(late.message().contains("write again"), "{late}");
    let typo = admin.approve(decision("ABC")).await.unwrap_err();
    assert_eq!(typo.code(), Code::InvalidArgument);
    assert!(typo.message().contains("8 letters"), "{typo}");
}

#[tokio::test]
async fn nobody_decides_without_the_token() {
    let gateway = Gateway::start().await;
    for (token, hint) in [(None, "Bearer"), (Some("wrong"), "gateway.token")] {
        let mut admin = admin(&gateway, token).await;
        let refused = admin.list(PairingListRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains(hint), "{refused}");
    }
    let open = Gateway::start_with(|config| config.token = "".into()).await;
    let mut admin = admin(&open, Some("")).await;
    let refused = admin.list(PairingListRequest::default()).await.unwrap_err();
    assert!(
        refused.message().contains("OPENCLAW_GATEWAY_TOKEN"),
        "{refused}"
    );
}
