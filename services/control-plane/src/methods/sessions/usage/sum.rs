//! Sums of what was used, in the shapes that clients show: pure.

use std::collections::BTreeMap;

use proto::v1::UsageCell;
use serde_json::{Value, json};

use super::days;
use crate::sessions::row::Place;

/// What some cells come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    user: u64,
    assistant: u64,
    failures: u64,
    input: u64,
    output: u64,
    cost_micro_usd: u64,
    first_at_ms: i64,
    pub(super) last_at_ms: i64,
    pub(super) provider: String,
    pub(super) model: String,
    days: BTreeMap<i32, Box<Sum>>,
}

impl Sum {
    /// With `cell` added.
    pub(super) fn with(mut self, cell: &UsageCell) -> Self {
        self.add(cell);
        self.days.entry(cell.day).or_default().add(cell);
        self
    }

    fn add(&mut self, cell: &UsageCell) {
        self.user += cell.user_lines;
        self.assistant += cell.assistant_lines;
        self.failures += cell.failures;
        self.input += cell.input_tokens;
        self.output += cell.output_tokens;
        self.cost_micro_usd += cell.cost_micro_usd;
        self.first_at_ms = match self.first_at_ms {
            0 => cell.first_at_ms,
            first => first.min(cell.first_at_ms),
        };
        if cell.last_at_ms >= self.last_at_ms && !cell.model.is_empty() {
            (self.provider, self.model) = (cell.provider.clone(), cell.model.clone());
        }
        self.last_at_ms = self.last_at_ms.max(cell.last_at_ms);
    }

    /// Tokens and cost. What a token costs is not told apart by kind, so the cost stands whole.
    pub(super) fn totals(&self) -> Value {
        json!({
            "input": self.input, "output": self.output, "cacheRead": 0, "cacheWrite": 0,
            "totalTokens": self.input + self.output, "totalCost": usd(self.cost_micro_usd), "inputCost": 0.0,
            "outputCost": 0.0, "cacheReadCost": 0.0, "cacheWriteCost": 0.0, "missingCostEntries": 0,
        })
    }

    fn messages(&self) -> Value {
        json!({
            "total": self.user + self.assistant, "user": self.user, "assistant": self.assistant,
            "toolCalls": 0, "toolResults": 0, "errors": self.failures,
        })
    }

    /// What one session comes to.
    pub(super) fn session(&self) -> Value {
        let mut all = self.totals();
        all["firstActivity"] = self.first_at_ms.into();
        all["lastActivity"] = self.last_at_ms.into();
        all["durationMs"] = (self.last_at_ms - self.first_at_ms).max(0).into();
        let days: Vec<_> = self.days.keys().map(|day| dated(*day)).collect();
        all["activityDates"] = days.into();
        let by_day = |of: fn(&Sum) -> Value| -> Value {
            let days = self.days.iter().map(|(day, sum)| {
                let mut entry = of(sum);
                entry["date"] = dated(*day).into();
                entry
            });
            days.collect()
        };
        all["dailyBreakdown"] = by_day(
            |sum| json!({"tokens": sum.input + sum.output, "cost": usd(sum.cost_micro_usd)}),
        );
        all["dailyMessageCounts"] = by_day(Sum::messages);
        all["messageCounts"] = self.messages();
        all["toolUsage"] = no_tools();
        all
    }
}

/// The cells that have `key` in common, summed up.
pub(super) fn by<K: Ord>(cells: &[UsageCell], key: impl Fn(&UsageCell) -> K) -> BTreeMap<K, Sum> {
    let mut sums: BTreeMap<K, Sum> = BTreeMap::new();
    for cell in cells {
        let sum = sums.entry(key(cell)).or_default();
        *sum = std::mem::take(sum).with(cell);
    }
    sums
}

/// Everything summed up in each way that clients show.
pub(super) fn aggregates(cells: &[UsageCell]) -> Value {
    let total = cells.iter().fold(Sum::default(), Sum::with);
    let answers: Vec<_> = cells
        .iter()
        .filter(|cell| !cell.model.is_empty())
        .cloned()
        .collect();
    let models = by(&answers, |cell| (cell.provider.clone(), cell.model.clone()));
    let models = models.iter().map(|((provider, model), sum)| {
        json!({"provider": provider, "model": model, "count": sum.assistant, "totals": sum.totals()})
    });
    let providers = by(&answers, |cell| cell.provider.clone());
    let providers = providers.iter().map(|(provider, sum)| {
        json!({"provider": provider, "count": sum.assistant, "totals": sum.totals()})
    });
    let agents = by(cells, |cell| cell.agent.clone());
    let agents = agents
        .iter()
        .map(|(agent, sum)| json!({"agentId": agent, "totals": sum.totals()}));
    let channels = by(cells, |cell| {
        Place::of(&cell.session_key).channel.to_owned()
    });
    let channels = channels
        .iter()
        .map(|(channel, sum)| json!({"channel": channel, "totals": sum.totals()}));
    let daily = total.days.iter().map(|(day, sum)| {
        json!({
            "date": dated(*day), "tokens": sum.input + sum.output, "cost": usd(sum.cost_micro_usd),
            "messages": sum.user + sum.assistant, "toolCalls": 0, "errors": sum.failures,
        })
    });
    json!({
        "messages": total.messages(), "tools": no_tools(), "byModel": models.collect::<Value>(),
        "byProvider": providers.collect::<Value>(), "byAgent": agents.collect::<Value>(),
        "byChannel": channels.collect::<Value>(), "daily": daily.collect::<Value>(),
    })
}

/// Agents of this gateway use none.
fn no_tools() -> Value {
    json!({"totalCalls": 0, "uniqueTools": 0, "tools": []})
}

/// US dollars of millionths.
pub(super) fn usd(micro: u64) -> f64 {
    micro as f64 / 1e6
}

/// A day as clients name it.
pub(super) fn dated(day: i32) -> String {
    days::date(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(session_key: &str, day: i32, model: &str) -> UsageCell {
        let answers = u64::from(!model.is_empty());
        UsageCell {
            agent: "main".into(),
            session_key: session_key.into(),
            day,
            provider: if model.is_empty() { "" } else { "openai" }.into(),
            model: model.into(),
            user_lines: 1 - answers,
            assistant_lines: answers,
            input_tokens: 3 * answers,
            output_tokens: 4 * answers,
            cost_micro_usd: 500_000 * answers,
            first_at_ms: 10 + i64::from(day),
            last_at_ms: 20 + i64::from(day),
            ..UsageCell::default()
        }
    }

    #[test]
    fn cells_are_summed_up_by_day_model_and_channel() {
        let cells = [
            cell("telegram:dm:1", 0, ""),
            cell("telegram:dm:1", 0, "m"),
            cell("webchat:main", 1, "m"),
            cell("webchat:main", 1, "n"),
        ];
        let all = aggregates(&cells);
        assert_eq!(all["messages"]["total"], 4);
        assert_eq!(all["byModel"][0]["count"], 2);
        assert_eq!(all["byProvider"][0]["totals"]["totalTokens"], 21);
        assert_eq!(all["byChannel"][0]["channel"], "telegram");
        assert_eq!(
            all["daily"],
            json!([
                {"date": "1970-01-01", "tokens": 7, "cost": 0.5, "messages": 2, "toolCalls": 0, "errors": 0},
                {"date": "1970-01-02", "tokens": 14, "cost": 1.0, "messages": 2, "toolCalls": 0, "errors": 0},
            ])
        );
        let sessions = by(&cells, |cell| cell.session_key.clone());
        let session = sessions["webchat:main"].session();
        assert_eq!(
            (&session["totalCost"], &session["durationMs"]),
            (&json!(1.0), &json!(10))
        );
        assert_eq!(session["activityDates"], json!(["1970-01-02"]));
        assert_eq!(sessions["webchat:main"].model, "n");
    }
}
