//! Buttons under a message.

use adapter::Error;
use proto::v1::{Button, ButtonRow};
use reqwest::Url;
use teloxide_core::types::{InlineKeyboardButton, InlineKeyboardMarkup};

/// Longest `callback_data`, in bytes. Source: Bot API, InlineKeyboardButton.
const MAX_DATA_BYTES: usize = 64;
/// Widest row that clients still show well.
const MAX_WIDTH: usize = 8;

/// The keyboard under a message; none without buttons. Rows that are too wide are broken.
pub(super) fn keyboard(rows: &[ButtonRow]) -> Result<Option<InlineKeyboardMarkup>, Error> {
    let mut keyboard = Vec::new();
    for row in rows {
        for row in row.buttons.chunks(MAX_WIDTH) {
            keyboard.push(row.iter().map(button).collect::<Result<Vec<_>, Error>>()?);
        }
    }
    Ok((!keyboard.is_empty()).then(|| InlineKeyboardMarkup::new(keyboard)))
}

fn button(button: &Button) -> Result<InlineKeyboardButton, Error> {
    let reject = |why: &str| Error::Rejected(format!("the button `{}` {why}", button.label));
    if button.label.is_empty() {
        return Err(reject("has no label"));
    }
    if !button.url.is_empty() {
        let url = Url::parse(&button.url).map_err(|_| reject("opens no valid address"))?;
        return Ok(InlineKeyboardButton::url(&button.label, url));
    }
    match button.data.len() {
        0 => Err(reject("has neither data nor address")),
        1..=MAX_DATA_BYTES => Ok(InlineKeyboardButton::callback(&button.label, &button.data)),
        _ => Err(reject("has more than 64 bytes of data")),
    }
}
