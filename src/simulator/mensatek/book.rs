//! What the platform keeps for its accounts: balances, messages with their states, libraries, addresses of callbacks.
//!
//! Must not know: HTTP, how a function is asked or answered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    MensatekMessage, answer::Wrong, callback::Callback, credits::Credits, library::Library,
    rules::MensatekRules, states,
};
use crate::simulator::{
    account::{Accounts, Login},
    record::ReceivedMessage,
    reports::{ReportPolicy, ReportStep},
    script::Script,
};

/// Most groups of messages that are kept; then the oldest is forgotten.
const MOST_GROUPS: usize = 50_000;

/// The books of all accounts. Clones are the same books.
#[derive(Clone)]
pub(in crate::simulator) struct Books(Arc<Mutex<Book>>);

/// What the books hold while nobody else writes in them.
pub(super) struct Book {
    accounts: Accounts,
    pub rules: MensatekRules,
    common_callback: Option<Callback>,
    own: HashMap<Login, Own>,
    groups: BTreeMap<u64, Group>,
    next_group: u64,
    /// When to look at which group; what has changed since means nothing.
    due: BTreeSet<(Timestamp, u64)>,
    /// Addresses that answered well when they were looked at.
    checked: HashSet<(Login, String)>,
}

/// What one account has.
pub(super) struct Own {
    pub credits: Credits,
    pub library: Library,
    callback: Option<Callback>,
}

/// The messages with one `idMensaje`.
pub(super) struct Group {
    pub login: Login,
    pub sender: Box<str>,
    pub entries: Vec<Entry>,
}

/// One message to one recipient.
pub(super) struct Entry {
    pub message: ReceivedMessage,
    pub cost: Credits,
    pub state: i32,
    pub state_time: Timestamp,
    pub stage: Stage,
}

/// How far a message is.
pub(super) enum Stage {
    /// Waits for its time; then these reports follow.
    Scheduled(Due),
    Cancelled,
    Sent,
}

/// What happens at some time.
#[derive(Clone)]
pub(super) struct Due {
    pub at: Timestamp,
    pub steps: Vec<ReportStep>,
    pub policy: ReportPolicy,
}

/// A message whose reports may go now.
pub(in crate::simulator) type Released = (ReceivedMessage, Vec<ReportStep>, ReportPolicy);

impl Entry {
    pub fn details(&self) -> Option<&MensatekMessage> {
        self.message.mensatek.as_deref()
    }
}

impl Books {
    pub fn new(accounts: Accounts) -> Self {
        // Ids differ between runs, and stay within what the text calls an integer.
        let start = Uuid::new_v4().as_u128() % 1_000_000;
        let start = u64::try_from(start).unwrap_or_default();
        Self(Arc::new(Mutex::new(Book {
            accounts,
            rules: MensatekRules::default(),
            common_callback: None,
            own: HashMap::new(),
            groups: BTreeMap::new(),
            next_group: 100_000_000 + start * 1_000,
            due: BTreeSet::new(),
            checked: HashSet::new(),
        })))
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes by this script from now on. Balances that exist stay.
    pub fn apply(&self, script: &Script) {
        let mut book = self.open();
        book.rules = script.mensatek_rules();
        book.common_callback = script.common_callback().cloned();
    }

    /// Where the callbacks of an account go.
    pub fn callback_of(&self, login: &Login) -> Option<Callback> {
        let book = self.open();
        let own = book.own.get(login).and_then(|own| own.callback.as_ref());
        let listed = || book.accounts.callback(login);
        let common = || book.common_callback.as_ref();
        own.or_else(listed).or_else(common).cloned()
    }

    /// Callbacks go here from now on; the address is looked at anew before it is used.
    pub fn set_callback(&self, login: &Login, callback: Callback) {
        let mut book = self.open();
        let url = callback.url.expose().to_owned();
        book.checked.remove(&(login.clone(), url));
        book.own(login).callback = Some(callback);
    }

    pub fn is_checked(&self, login: &Login, url: &str) -> bool {
        let book = self.open();
        book.checked.contains(&(login.clone(), url.to_owned()))
    }

    pub fn mark_checked(&self, login: &Login, url: &str) {
        let mut book = self.open();
        book.checked.insert((login.clone(), url.to_owned()));
    }

    pub fn credits(&self, login: &Login) -> Credits {
        self.open().own(login).credits
    }

    pub fn set_credits(&self, login: &Login, credits: Credits) {
        self.open().own(login).credits = credits;
    }

    /// A message has reached this state. A state that settles nothing does not undo one that does.
    pub fn note_state(&self, message: &ReceivedMessage, state: i32, now: Timestamp) {
        let mut book = self.open();
        let Some(entry) = book.entry_of(message) else {
            return;
        };
        if states::is_waiting(state) && !states::is_waiting(entry.state) {
            return;
        }
        entry.state = state;
        entry.state_time = now;
        if states::is_certified(state) {
            book.clear_away(message);
        }
    }

    /// Takes out the messages whose time has come.
    pub fn take_due(&self, now: Timestamp) -> Vec<Released> {
        let mut book = self.open();
        let Book { groups, due, .. } = &mut *book;
        let mut ids = Vec::new();
        while due.first().is_some_and(|(at, _)| *at <= now) {
            ids.extend(due.pop_first().map(|(_, id)| id));
        }
        let mut released = Vec::new();
        for id in ids {
            let entries = groups.get_mut(&id).map(|group| &mut group.entries);
            for entry in entries.into_iter().flatten() {
                if let Stage::Scheduled(due) = &entry.stage
                    && due.at <= now
                {
                    let due = due.clone();
                    entry.stage = Stage::Sent;
                    released.push((entry.message.clone(), due.steps, due.policy));
                }
            }
        }
        released
    }

    /// The state of a message as the platform has it.
    pub(super) fn state_of(&self, message: &ReceivedMessage) -> Option<i32> {
        self.open().entry_of(message).map(|entry| entry.state)
    }

    /// The messages of a group, in order.
    pub(super) fn messages_of(&self, group: u64) -> Vec<ReceivedMessage> {
        let book = self.open();
        let entries = book.groups.get(&group).map(|group| &group.entries);
        let entries = entries.into_iter().flatten();
        entries.map(|entry| entry.message.clone()).collect()
    }
}

impl Book {
    /// What an account has; begins with what it was given.
    pub fn own(&mut self, login: &Login) -> &mut Own {
        let Self {
            accounts,
            rules,
            own,
            ..
        } = self;
        own.entry(login.clone()).or_insert_with(|| Own {
            credits: accounts
                .credits(login)
                .unwrap_or(Credits::whole(rules.credits)),
            library: Library::default(),
            callback: None,
        })
    }

    /// The sender that an account may not use.
    pub fn forbids(&self, login: &Login, sender: &str) -> bool {
        self.accounts.forbids(login, sender)
    }

    pub fn is_on_trial(&self, login: &Login) -> bool {
        self.accounts.is_on_trial(login)
    }

    /// A new id; it may stay unused.
    pub fn new_id(&mut self) -> u64 {
        self.next_group += 1;
        self.next_group
    }

    pub fn group(&self, id: u64) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// A group of this account; `unknown` where there is none, `foreign` where it is another's.
    pub fn group_of(
        &mut self,
        login: &Login,
        id: &str,
        (unknown, foreign): (i32, i32),
    ) -> Result<&mut Group, Wrong> {
        let id: u64 = id
            .trim()
            .parse()
            .map_err(|_| Wrong::call("Idmensaje no es un número"))?;
        let group = self.groups.get_mut(&id).ok_or(Wrong::code(unknown))?;
        if group.login == *login {
            Ok(group)
        } else {
            Err(Wrong::code(foreign))
        }
    }

    /// The groups of an account, oldest first.
    pub fn groups_of(&self, login: &Login) -> impl Iterator<Item = (u64, &Group)> {
        let groups = self.groups.iter().map(|(id, group)| (*id, group));
        groups.filter(move |(_, group)| group.login == *login)
    }

    /// Adds messages to a group, or begins one.
    pub fn add(&mut self, id: u64, (login, sender): (&Login, &str), entries: Vec<Entry>) {
        let group = self.groups.entry(id).or_insert_with(|| Group {
            login: login.clone(),
            sender: sender.into(),
            entries: Vec::new(),
        });
        group.entries.extend(entries);
        if self.groups.len() > MOST_GROUPS {
            self.groups.pop_first();
        }
    }

    /// Looks at a group when this time has come.
    pub fn look_at(&mut self, at: Timestamp, id: u64) {
        self.due.insert((at, id));
    }

    fn entry_of(&mut self, message: &ReceivedMessage) -> Option<&mut Entry> {
        let id = message.message_id.as_deref()?.parse().ok()?;
        let group = self.groups.get_mut(&id)?;
        // Another simulator may have given the same id to somebody else.
        let mut entries = group.entries.iter_mut();
        entries.find(|entry| entry.message.phone == message.phone)
    }

    /// Deletes the files of a certified message that were to be deleted then, unless another message still needs them.
    fn clear_away(&mut self, message: &ReceivedMessage) {
        let Some(details) = &message.mensatek else {
            return;
        };
        if details.files.is_empty() {
            return;
        }
        let entries = self.groups.values().flat_map(|group| &group.entries);
        let needed: HashSet<&str> = entries
            .filter(|entry| entry.message.login == message.login)
            .filter(|entry| !matches!(entry.stage, Stage::Cancelled))
            .filter(|entry| !states::is_certified(entry.state))
            .filter_map(|entry| entry.details())
            .flat_map(|details| details.files.iter().map(|name| &**name))
            .collect();
        let files = details.files.iter().map(|name| &**name);
        let free: Vec<&str> = files.filter(|name| !needed.contains(name)).collect();
        if let Some(own) = self.own.get_mut(&message.login) {
            own.library.clear_away(&free);
        }
    }
}
