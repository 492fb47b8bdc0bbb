//! Whether a device is the one whose key it shows: Ed25519 over a line of text that names the connection.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::params::{Connect, Device, Role};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// What stands before the 32 bytes of an Ed25519 key in a PEM file.
///
/// Source: RFC 8410, section 4, SubjectPublicKeyInfo.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What is wrong with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Identity,
    Stale,
    NonceMissing,
    Nonce,
    Signature,
    Key,
}

impl Fault {
    /// Message, detail code and reason on the wire.
    pub(crate) fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Identity => (
                "device identity mismatch",
                "DEVICE_AUTH_DEVICE_ID_MISMATCH",
                "device-id-mismatch",
            ),
            Self::Stale => (
                "device signature expired",
                "DEVICE_AUTH_SIGNATURE_EXPIRED",
                "device-signature-stale",
            ),
            Self::NonceMissing => (
                "device nonce required",
                "DEVICE_AUTH_NONCE_REQUIRED",
                "device-nonce-missing",
            ),
            Self::Nonce => (
                "device nonce mismatch",
                "DEVICE_AUTH_NONCE_MISMATCH",
                "device-nonce-mismatch",
            ),
            Self::Signature => (
                "device signature invalid",
                "DEVICE_AUTH_SIGNATURE_INVALID",
                "device-signature",
            ),
            Self::Key => (
                "device public key invalid",
                "DEVICE_AUTH_PUBLIC_KEY_INVALID",
                "device-public-key",
            ),
        }
    }
}

/// What a proof is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Challenge<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) now_ms: i64,
    /// How far the device's clock may be off.
    pub(crate) skew_ms: u64,
    /// Protocol 3 on this machine may sign without the nonce.
    pub(crate) nonce_optional: bool,
}

/// Checks the proof of `device`.
///
/// # Errors
/// The first [`Fault`], in the order of the reference.
pub(crate) fn verify(
    connect: &Connect,
    role: Role,
    device: &Device,
    challenge: Challenge<'_>,
) -> Result<(), Fault> {
    let key = public_key(&device.public_key).ok_or(Fault::Key)?;
    if *device.id != hex(&Sha256::digest(key)) {
        return Err(Fault::Identity);
    }
    let now_ms = u64::try_from(challenge.now_ms).unwrap_or_default();
    if now_ms.abs_diff(device.signed_at) > challenge.skew_ms {
        return Err(Fault::Stale);
    }
    match device.nonce.as_deref() {
        None if !challenge.nonce_optional => return Err(Fault::NonceMissing),
        Some(nonce) if nonce != challenge.nonce => return Err(Fault::Nonce),
        _ => {}
    }
    let key = VerifyingKey::from_bytes(&key).map_err(|_| Fault::Key)?;
    let signature = decode(&device.signature).ok_or(Fault::Signature)?;
    let signature = Signature::from_slice(&signature).map_err(|_| Fault::Signature)?;
    let lines = lines(connect, role, device);
    let good = lines
        .iter()
        .any(|line| key.verify_strict(line.as_bytes(), &signature).is_ok());
    if good { Ok(()) } else { Err(Fault::Signature) }
}

/// The lines that the device may have signed: which version it took is not sent, and not tied to the protocol's.
fn lines(connect: &Connect, role: Role, device: &Device) -> Vec<String> {
    let scopes: Vec<&str> = connect.scopes().collect();
    let client = &connect.client;
    let line = format!(
        "{}|{}|{}|{}|{}|{}|{}",
        device.id.0,
        client.id,
        client.mode,
        role.name(),
        scopes.join(","),
        device.signed_at,
        connect.auth.signed()
    );
    match device.nonce.as_deref() {
        None => vec![format!("v1|{line}")],
        Some(nonce) => {
            let plain = |text: &str| text.trim().to_ascii_lowercase();
            let platform = plain(&client.platform);
            let family = client
                .device_family
                .as_deref()
                .map(plain)
                .unwrap_or_default();
            vec![
                format!("v3|{line}|{nonce}|{platform}|{family}"),
                format!("v2|{line}|{nonce}"),
            ]
        }
    }
}

/// The 32 bytes of a key in base64url, base64 or PEM.
fn public_key(text: &str) -> Option<[u8; 32]> {
    let bytes = match text.contains("BEGIN") {
        false => decode(text)?,
        true => {
            let body: String = text
                .lines()
                .filter(|line| !line.starts_with("-----"))
                .collect();
            decode(body.trim())?.strip_prefix(&SPKI)?.to_vec()
        }
    };
    bytes.try_into().ok()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE
        .decode(text)
        .or_else(|_| STANDARD.decode(text))
        .ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use serde_json::{Value, json};

    const ID: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
    const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const NONCE: &str = "5b1c2b1e-6f0a-4a55-9d1a-0c7b3d3e2f11";
    const SIGNED_AT: i64 = 1_737_264_000_000;
    const V1: &str =
        "_cv3IaYFdvf-gOb984RHNrXo4eRVWNOylUtzuHESk87AfidLg7iCzoVt519gaNBduvuvZqj3woO6kqqlO4PuAg";
    const V2: &str =
        "nyNLyiTpALG6KH4w8IQFTMKXbIlDcDspxqcIGpjJtVoIIZbUz3rQd6tAvCqiZvsAgGubtqRnr2bTvV57d9C-Bw";
    const V3: &str =
        "-zxR0VUT2wVmyrkAoDNpLnoyz_ITcouXIphQOmQXFK-R_Kgd2fulH-uF7PJRNJX7WowJNCrkaZFdihygI0ZMDQ";
    const V3_NODE: &str =
        "2-pxaJeFDosIItFYkOP8762DcY_juaw21iZrrI12iPC_tkKF1LR7IR9bcaUUXj41GG80AfxJES8jH6iHY2jnDQ";

    fn operator(signature: &str, nonce: Option<&str>) -> Value {
        json!({
            "minProtocol": 3, "maxProtocol": 4, "role": "operator",
            "client": {"id": "cli", "version": "1", "platform": " MacOS ", "mode": "cli"},
            "scopes": ["operator.read", "operator.write"], "auth": {"token": "secret-token"},
            "device": {"id": ID, "publicKey": KEY, "signature": signature, "signedAt": SIGNED_AT, "nonce": nonce},
        })
    }

    fn check(params: &Value, late_ms: i64, nonce_optional: bool) -> Result<(), Fault> {
        let raw = serde_json::value::to_raw_value(params).unwrap();
        let connect: Connect = schema::read(Some(&raw)).unwrap();
        let (role, device) = (connect.role().unwrap(), connect.device.clone().unwrap());
        let now_ms = SIGNED_AT + late_ms;
        let challenge = Challenge {
            nonce: NONCE,
            now_ms,
            skew_ms: 120_000,
            nonce_optional,
        };
        verify(&connect, role, &device, challenge)
    }

    #[test]
    fn the_reference_vectors_of_all_three_versions_verify() {
        assert_eq!(check(&operator(V1, None), 0, true), Ok(()));
        assert_eq!(check(&operator(V2, Some(NONCE)), 0, false), Ok(()));
        assert_eq!(check(&operator(V3, Some(NONCE)), 0, false), Ok(()));
        let mut node = operator(V3_NODE, Some(NONCE));
        node["client"] = json!({"id": "node-host", "mode": "node", "version": "1", "platform": "linux",
                                "deviceFamily": "Linux"});
        (node["role"], node["scopes"], node["auth"]) = (json!("node"), json!([]), json!({}));
        assert_eq!(check(&node, 0, false), Ok(()));
    }

    #[test]
    fn a_key_may_be_a_pem_file() {
        let mut der = SPKI.to_vec();
        der.extend(URL_SAFE.decode(KEY).unwrap());
        let body = STANDARD.encode(der);
        let mut params = operator(V2, Some(NONCE));
        params["device"]["publicKey"] = json!(format!(
            "-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"
        ));
        assert_eq!(check(&params, 0, false), Ok(()));
    }

    #[test]
    fn every_fault_has_its_name() {
        let with = |key: &str, value: Value| {
            let mut params = operator(V2, Some(NONCE));
            params["device"][key] = value;
            check(&params, 0, false)
        };
        assert_eq!(with("id", json!("00")), Err(Fault::Identity));
        assert_eq!(with("publicKey", json!("AAAA")), Err(Fault::Key));
        assert_eq!(with("nonce", json!("other")), Err(Fault::Nonce));
        assert_eq!(with("signature", json!(V1)), Err(Fault::Signature));
        assert_eq!(with("signature", json!("!")), Err(Fault::Signature));
        assert_eq!(
            check(&operator(V1, None), 0, false),
            Err(Fault::NonceMissing)
        );
        let mut widened = operator(V2, Some(NONCE));
        widened["scopes"] = json!(["operator.admin"]);
        assert_eq!(
            check(&widened, 0, false),
            Err(Fault::Signature),
            "scopes are signed"
        );
    }

    #[test]
    fn a_signature_is_good_for_two_minutes_either_way() {
        let signed = operator(V2, Some(NONCE));
        assert_eq!(check(&signed, 119_000, false), Ok(()));
        assert_eq!(check(&signed, -119_000, false), Ok(()));
        assert_eq!(check(&signed, 125_000, false), Err(Fault::Stale));
        assert_eq!(check(&signed, -125_000, false), Err(Fault::Stale));
    }
}
