//! The life of one turn: history, question, answer, ending.

use std::{pin::pin, time::Duration};

use bus::{Bus, Delivery, Outcome};
use chassis::clock::now_ms;
use proto::{
    subject,
    v1::{Event, ModelsReply, ModelsRequest, Started, Turn},
};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::{
    agents::Agents,
    asking::{Answer, Asking, Telling},
    backend::Question,
    config::Config,
    ending::{self, Account, Ending},
    failure::{Failure, Problem},
    history::Histories,
    live::Live,
    meter,
    models::{self, Models},
    prompt,
    runs::Runs,
};

/// Longest name of a model that a session may choose, in characters.
const MAX_MODEL_CHARS: usize = 128;
/// A turn that does not say how long it lives lives so long.
const LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// What all turns share.
pub(crate) struct Bridge {
    bus: Bus,
    config: Config,
    asking: Asking,
    histories: Histories,
    agents: Agents,
    runs: Runs,
    models: Models,
}

impl Bridge {
    /// Makes one from its settings.
    ///
    /// # Errors
    /// When the settings of the model cannot be used.
    pub(crate) fn new(bus: Bus, config: Config, agents: Agents) -> anyhow::Result<Self> {
        Ok(Self {
            bus,
            asking: Asking::new(&config)?,
            histories: Histories::new(&config),
            agents,
            runs: Runs::default(),
            models: Models::default(),
            config,
        })
    }

    /// Keeps up with what operators make of agents, for ever.
    ///
    /// # Errors
    /// When the bus cannot be read now.
    pub(crate) async fn keep_up(&self) -> Result<(), bus::Error> {
        self.agents.keep_up().await
    }

    /// Name of the provider that answers.
    pub(crate) fn provider(&self) -> &str {
        self.asking.backend().provider()
    }

    /// Which models can answer.
    pub(crate) async fn models(&self, asked: &ModelsRequest) -> ModelsReply {
        let backend = self.asking.backend();
        let usual = backend.model(&self.config.model);
        if asked.usual_only {
            return models::usual(backend.provider(), usual);
        }
        let now = Instant::now().into_std();
        self.models.list(backend, usual, asked.refresh, now).await
    }

    /// Stops what `cancel` means, if it runs here.
    pub(crate) fn cancel(&self, cancel: &Turn) {
        let stopped = self.runs.cancel(cancel);
        debug!(turn.id = cancel.cancel, stopped, "stopped {stopped} turns");
    }

    /// Reads a session's transcript anew at its next turn: `event` put a line into it.
    pub(crate) fn forget(&self, event: &Event) {
        self.histories.forget(&event.agent, &event.session_key);
    }

    /// Handles a turn: it ends in exactly one of answered, failed, aborted.
    pub(crate) async fn handle(&self, delivery: Delivery<Turn>) -> Outcome {
        let turn = &delivery.message;
        if !turn.cancel.is_empty() {
            self.cancel(turn);
            return Outcome::Ack;
        }
        let (begun, started_at_ms) = (Instant::now(), now_ms());
        if expired(turn, delivery.stored_ms, started_at_ms) {
            return Outcome::Dead("expired".into());
        }
        self.tell_started(turn, started_at_ms).await;
        let model = self.model(turn);
        let mut account = Account {
            provider: self.provider().into(),
            model: self.asking.backend().model(&model).into(),
            started_at_ms,
            ..Account::default()
        };
        let ending = self.run(&delivery, model).await;
        if let Ending::Answered(answer) = &ending {
            account.cost_micro_usd = self
                .config
                .cost_micro_usd(answer.usage.input_tokens, answer.usage.output_tokens);
            meter::used(&account.provider, answer, account.cost_micro_usd);
        }
        account.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.end(&delivery, &ending, account, begun).await
    }

    /// Runs the turn to its end, which may be that somebody stops it or its time is over.
    async fn run(&self, delivery: &Delivery<Turn>, model: String) -> Ending {
        let turn = &delivery.message;
        let deadline = Instant::now() + self.allowed(turn);
        let run = self.runs.begin(turn);
        meter::running(self.runs.count());
        let telling = Telling::new(
            &self.bus,
            &delivery.fence,
            turn.reply_to.as_ref(),
            &turn.session_key,
        );
        let (mut live, start) = Live::begin(turn, Instant::now());
        let ended = {
            let mut answer = pin!(async {
                telling.tell(start).await;
                let question = self.question(delivery, model).await;
                self.asking
                    .answer(&question, &mut live, &telling, deadline)
                    .await
            });
            tokio::select! {
                biased;
                why = run.stopped() => Err(why),
                answer = timeout_at(deadline, &mut answer) => Ok(answer),
            }
        };
        drop(run);
        meter::running(self.runs.count());
        match ended {
            Ok(Ok(answer)) => answer.map_or_else(Ending::Failed, Ending::Answered),
            Ok(Err(_)) => {
                self.asking.was_too_slow();
                Ending::Failed(Failure::new(Problem::Deadline, ""))
            }
            Err(why) => Ending::Aborted(live.text().into(), why),
        }
    }

    async fn question(&self, delivery: &Delivery<Turn>, model: String) -> Question {
        let turn = &delivery.message;
        let mut messages = self.histories.before(&self.bus, turn, delivery.epoch).await;
        messages.extend(prompt::told_before(turn));
        messages.push(prompt::said(turn));
        let instructions = self
            .agents
            .instructions(&turn.agent, &self.config.system_prompt);
        Question {
            model,
            system: prompt::system(&instructions, turn),
            effort: effort(turn),
            messages,
        }
    }

    /// Publishes how the turn ended, and remembers what was said.
    async fn end(
        &self,
        delivery: &Delivery<Turn>,
        ending: &Ending,
        account: Account,
        begun: Instant,
    ) -> Outcome {
        let turn = &delivery.message;
        if let Ending::Failed(failure) = ending {
            let Failure {
                http_status,
                detail,
                ..
            } = failure;
            warn!(
                turn.id,
                kind = failure.kind(),
                http.status = http_status,
                detail,
                "no answer: {}",
                failure.kind()
            );
        }
        let at_ms = now_ms();
        let event = ending.event(turn, account, at_ms);
        let outbound = ending.outbound(turn, at_ms);
        if let Err(reason) =
            ending::publish(&self.bus, &delivery.fence, turn, &event, outbound.as_ref()).await
        {
            return Outcome::Dead(reason);
        }
        let said = match ending {
            Ending::Answered(Answer { text, .. }) | Ending::Aborted(text, _) => text,
            Ending::Failed(_) => "",
        };
        self.histories.add(turn, delivery.epoch, said, at_ms);
        meter::ended(ending.name(), begun.elapsed());
        debug!(
            turn.id,
            took_ms = begun.elapsed().as_millis() as u64,
            "turn {}",
            ending.name()
        );
        Outcome::Ack
    }

    /// The model that the session chose, else its agent's, else the one in the settings.
    fn model(&self, turn: &Turn) -> String {
        let chosen = turn.preferences.get("model").cloned().unwrap_or_default();
        let models = [chosen, self.agents.model(&turn.agent)];
        let models = models.iter().map(|model| named(model, self.provider()));
        let sound = |model: &&str| !model.is_empty() && model.chars().count() <= MAX_MODEL_CHARS;
        models
            .into_iter()
            .find(sound)
            .unwrap_or(&self.config.model)
            .to_owned()
    }

    /// How long the agent has, by this process's clock alone.
    fn allowed(&self, turn: &Turn) -> Duration {
        match u64::try_from(turn.allowed_ms) {
            Ok(allowed_ms @ 1..) => Duration::from_millis(allowed_ms),
            _ => Duration::from_secs(self.config.run_timeout_s),
        }
    }

    /// Tells those who look on; nothing depends on it.
    async fn tell_started(&self, turn: &Turn, at_ms: i64) {
        let started = Started {
            turn_id: turn.id.clone(),
            at_ms,
        };
        if let Err(error) = self.bus.tell(subject::STARTED, &started).await {
            debug!(
                error = &error as &dyn std::error::Error,
                "that a turn started was not told"
            );
        }
    }
}

/// The model of `provider/model`, as clients name one; one that is another provider's is asked for as it stands.
fn named<'a>(model: &'a str, provider: &str) -> &'a str {
    let model = model.trim();
    match model.split_once('/') {
        Some((of, model)) if of == provider => model,
        _ => model,
    }
}

/// How hard the model is to think, where the turn's preferences name a level that models know.
fn effort(turn: &Turn) -> Option<&'static str> {
    match turn.preferences.get("thinking")?.as_str() {
        "minimal" => Some("minimal"),
        "low" => Some("low"),
        "medium" => Some("medium"),
        "high" | "xhigh" | "max" => Some("high"),
        _ => None,
    }
}

/// Whether a turn that was stored at `stored_ms` has waited longer than it lives.
fn expired(turn: &Turn, stored_ms: i64, now_ms: i64) -> bool {
    let lifetime_ms = match turn.lifetime_ms {
        0 => LIFETIME_MS,
        lifetime_ms => lifetime_ms,
    };
    stored_ms.saturating_add(lifetime_ms) <= now_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_asked_for_without_the_name_of_its_own_provider() {
        assert_eq!(named("openai/gpt-5", "openai"), "gpt-5");
        assert_eq!(named(" gpt-5 ", "openai"), "gpt-5");
        assert_eq!(named("openai/gpt-5", "openrouter.ai"), "openai/gpt-5");
    }

    #[test]
    fn a_turn_lives_as_long_as_it_says_or_a_day() {
        let turn = |lifetime_ms| Turn {
            lifetime_ms,
            ..Turn::default()
        };
        assert!(!expired(&turn(10), 5, 14) && expired(&turn(10), 5, 15));
        assert!(!expired(&turn(0), 5, LIFETIME_MS) && expired(&turn(0), 5, 5 + LIFETIME_MS));
    }
}
