//! What the router keeps in Redis: seen messages, sessions and rates, all of which may be lost.
//!
//! | prefix | what | lifetime | when Redis is away |
//! |---|---|---|---|
//! | `dd:<inbound id>` | sequence of the message that came first | `dedupe_s` | let in: later steps repeat by id |
//! | `proc:<inbound id>` | how often a handler began it again | 5 min | not counted |
//! | `sess:<sid>` | session, JSON | `session_idle_s`, sliding | begins anew |
//! | `rl:<who>` | GCRA state | its own | this process's own limit holds |

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use chassis::breaker::Breaker;
use redis::{
    Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use serde::{Deserialize, Serialize};

use crate::local::Limits;

/// A session's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Changes when it begins anew.
    pub id: String,
    /// The transcript counts as context from here on, Unix epoch.
    pub started_at_ms: i64,
    /// What its owner chose: model, language.
    #[serde(default)]
    pub preferences: BTreeMap<String, String>,
    /// Turns so far.
    #[serde(default)]
    pub turns: u64,
    /// Id of the newest turn: the agent's state hangs on it.
    #[serde(default)]
    pub last_turn: String,
    /// How often its transcript was compacted.
    #[serde(default)]
    pub compactions: u32,
}

impl Session {
    /// A session that begins now.
    #[must_use]
    pub fn begin(now_ms: i64) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            started_at_ms: now_ms,
            preferences: BTreeMap::new(),
            turns: 0,
            last_turn: String::new(),
            compactions: 0,
        }
    }

    /// Begins it anew; what its owner chose is kept.
    pub fn begin_anew(&mut self, now_ms: i64) {
        let preferences = std::mem::take(&mut self.preferences);
        *self = Self {
            preferences,
            ..Self::begin(now_ms)
        };
    }
}

/// What one look at Redis tells of an inbound.
pub struct Seen {
    /// Another message had this id before.
    pub duplicate: bool,
    /// The session as it stands; `None` when there is none.
    pub session: Option<Session>,
    /// How long the sender has to wait; zero when not at all.
    pub wait: Duration,
    /// How often it was begun before, in the last minutes.
    pub begun: u32,
    /// Redis did not answer: nothing of this is known.
    pub blind: bool,
}

/// One limit: `per` events in `Duration`, `burst` at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Time that one event costs.
    pub each: Duration,
    /// Events at once.
    pub burst: u32,
}

/// Redis as the router uses it.
pub struct Store {
    redis: ConnectionManager,
    breaker: Mutex<Breaker>,
    local: Mutex<Limits>,
    look: Script,
}

/// A Redis that hangs costs this much, and only until the breaker opens.
const PATIENCE: Duration = Duration::from_millis(50);

/// Dedupe, session and two limits in one round trip.
///
/// KEYS dedupe, session, user rate, platform rate, beginnings; ARGV sequence, dedupe seconds, user cost ms, user burst,
/// platform cost ms, platform burst. A repetition of the same sequence is not a duplicate and costs nothing.
const LOOK: &str = r"
local first = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'EX', ARGV[2])
if first and first ~= ARGV[1] then return {1, false, 0, 0} end
local session = redis.call('GET', KEYS[2])
if first then
  local begun = redis.call('INCR', KEYS[5])
  redis.call('EXPIRE', KEYS[5], 300)
  return {0, session, 0, begun}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = 0
for n = 0, 1 do
  local cost, burst = tonumber(ARGV[3 + 2 * n]), tonumber(ARGV[4 + 2 * n])
  if cost > 0 then
    local at = math.max(tonumber(redis.call('GET', KEYS[3 + n]) or 0), now) + cost
    redis.call('SET', KEYS[3 + n], at, 'PX', math.max(1, at - now + 1000))
    wait = math.max(wait, at - now - cost * burst)
  end
end
return {0, session, wait, 0}
";

impl Store {
    /// Connects when first used; a Redis that is away is no error.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(url: &str) -> Result<Self, redis::RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(Duration::from_millis(250)))
            .set_number_of_retries(1);
        let redis = ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?;
        let breaker = Mutex::new(Breaker::new(5, Duration::from_secs(1)));
        Ok(Self {
            redis,
            breaker,
            local: Mutex::default(),
            look: Script::new(LOOK),
        })
    }

    /// Looks everything up that an inbound needs.
    pub async fn look(
        &self,
        keys: &Keys,
        sequence: u64,
        dedupe_s: u64,
        user: Rate,
        platform: Rate,
    ) -> Seen {
        let mut call = self.look.prepare_invoke();
        call.key(&keys.dedupe)
            .key(&keys.session)
            .key(&keys.user)
            .key(&keys.platform)
            .key(&keys.begun);
        call.arg(sequence).arg(dedupe_s.max(1));
        for rate in [user, platform] {
            call.arg(u64::try_from(rate.each.as_millis()).unwrap_or_default())
                .arg(rate.burst);
        }
        let mut redis = self.redis.clone();
        let answer: Option<(u8, Option<String>, i64, u32)> =
            self.guarded(call.invoke_async(&mut redis)).await;
        match answer {
            Some((duplicate, session, wait, begun)) => Seen {
                begun,
                duplicate: duplicate == 1,
                session: session.and_then(|json| serde_json::from_str(&json).ok()),
                wait: Duration::from_millis(u64::try_from(wait).unwrap_or_default()),
                blind: false,
            },
            None => Seen {
                duplicate: false,
                session: None,
                wait: self.wait_locally(keys, user, platform),
                begun: 0,
                blind: true,
            },
        }
    }

    /// Limits without Redis: exact for a person, whose messages all come here, and each process's own for a platform.
    fn wait_locally(&self, keys: &Keys, user: Rate, platform: Rate) -> Duration {
        let Ok(mut local) = self.local.lock() else {
            return user.each;
        };
        let now = Instant::now();
        let of_user = local.take(&keys.user, user, now);
        of_user.max(local.take(&keys.platform, platform, now))
    }

    /// Keeps a session for `idle_s` from now.
    pub async fn save(&self, keys: &Keys, session: &Session, idle_s: u64) {
        let Ok(json) = serde_json::to_string(session) else {
            return;
        };
        let mut redis = self.redis.clone();
        let mut set = redis::cmd("SET");
        set.arg(&keys.session)
            .arg(json)
            .arg("EX")
            .arg(idle_s.max(1));
        let _: Option<()> = self.guarded(set.query_async(&mut redis)).await;
    }

    /// Forgets a session.
    pub async fn forget(&self, keys: &Keys) {
        let mut redis = self.redis.clone();
        let mut del = redis::cmd("DEL");
        del.arg(&keys.session);
        let _: Option<()> = self.guarded(del.query_async(&mut redis)).await;
    }

    /// Runs a call unless Redis has just failed five times in a row.
    async fn guarded<T>(&self, call: impl Future<Output = redis::RedisResult<T>>) -> Option<T> {
        if self.breaker.lock().ok()?.allow(Instant::now()).is_err() {
            return None;
        }
        let outcome = call.await;
        let mut breaker = self.breaker.lock().ok()?;
        match outcome {
            Ok(answer) => {
                breaker.succeeded();
                Some(answer)
            }
            Err(error) => {
                metrics::counter!("openclaw_router_redis_errors_total").increment(1);
                if breaker.failed(Instant::now()) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "redis is away: sessions begin anew, repeats are caught later"
                    );
                }
                None
            }
        }
    }
}

/// Redis keys of one inbound.
pub struct Keys {
    dedupe: String,
    session: String,
    user: String,
    platform: String,
    begun: String,
}

impl Keys {
    /// Keys of the inbound `id` in the session `sid`, from `sender` at `platform`/`account`.
    #[must_use]
    pub fn new(id: &str, sid: &str, platform: &str, account: &str, sender: &str) -> Self {
        Self {
            dedupe: format!("dd:{id}"),
            session: format!("sess:{sid}"),
            user: format!("rl:u:{platform}:{account}:{sender}"),
            platform: format!("rl:p:{platform}"),
            begun: format!("proc:{id}"),
        }
    }
}
