//! A platform that is this terminal: what is typed is a message, answers are printed.

use adapter::media::MediaStore;
use adapter_loopback::{Answer, Call, Config, Platform, Request, Update};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Lines that may wait to be heard.
const LINES: usize = 16;

/// Talks with whoever sits at the terminal, until told to stop.
///
/// # Errors
/// When the bus gives up.
pub(crate) async fn run(ctx: chassis::Context, media: MediaStore) -> anyhow::Result<()> {
    let (platform, mut asked) = Platform::new("");
    let mut typed = typed();
    let talk = async {
        loop {
            tokio::select! {
                Some(text) = typed.recv() => platform.say(said(text)),
                Some(request) = asked.recv() => show(request),
                else => return,
            }
        }
    };
    let service =
        adapter_loopback::run(ctx, "terminal", media, Config::default(), platform.clone());
    tokio::select! {
        outcome = service => outcome,
        () = talk => Ok(()),
    }
}

/// Lines as they are typed. A thread of its own: a terminal cannot be waited for otherwise.
fn typed() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && send.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn said(text: String) -> Update {
    Update {
        id: Uuid::new_v4().to_string(),
        conversation: "terminal".to_owned(),
        sender: "you".to_owned(),
        text,
        ..Update::default()
    }
}

fn show(request: Request) {
    match &request.call {
        Call::Say { text, .. } | Call::Change { text, .. } => println!("{text}"),
        Call::React { emoji, .. } => println!("{emoji}"),
        Call::Remove { .. } | Call::Type => {}
    }
    let id = match &request.call {
        Call::Change { message_id, .. } => message_id.clone(),
        _ => Uuid::new_v4().to_string(),
    };
    request.answer(Answer::Done(id));
}
