//! Who may call: every function begins here. What a role may do is kept per backend, until somebody changes it.

use super::args::Checked;
use crate::model::access::{Access, Capability, READERS, Reach, may_execute};
use crate::pg::datum::QueueIds;
use crate::pg::error::Misuse;
use crate::pg::roles::{self, Role};
use crate::pg::session::Session;
use crate::pg::statement::{Grant, change_grant};
use crate::store::capability::{self, Object, Taken};
use crate::store::server;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::rc::Rc;

/// Begins a call that writes; 42501 unless the caller has one of the capabilities. It is confined to the queues where
/// it has: tasks of others do not exist for it.
pub fn verb(function: &CStr, needs: &[Capability]) -> Session {
    let session = confined(Session::verb(function), needs);
    server::go_on();
    session
}

/// The same for a call that reads.
pub fn reader() -> Session {
    confined(Session::reader(), READERS)
}

/// The same for a call that reads and is not about tasks: 42501 unless the caller has the capability in all queues.
pub fn overseer(needs: Capability) -> Session {
    let session = confined(Session::reader(), &[needs]);
    if let Err(misuse) = everywhere(&session, needs) {
        misuse.raise();
    }
    session
}

/// What a call needs that the holder of a lease makes, or who controls the task.
pub fn by_token(lease_token: Option<i64>) -> &'static [Capability] {
    match lease_token {
        Some(_) => &[Capability::Work],
        None => &[Capability::Control],
    }
}

/// Begins a call that only the owner of the extension may make.
pub fn owner(function: &CStr) -> Session {
    let session = Session::verb(function);
    if !session.caller().is_owner() {
        Misuse::not_owner(&function.to_string_lossy()).raise();
    }
    session.confine(None);
    server::go_on();
    session
}

fn confined(session: Session, needs: &[Capability]) -> Session {
    match reach(&session, needs) {
        Ok(queues) => session.confine(queues),
        Err(misuse) => misuse.raise(),
    }
    session
}

/// The queues in which the caller has one of the capabilities (`None`: all), or 42501.
pub fn reach(session: &Session, needs: &[Capability]) -> Checked<Option<Rc<QueueIds>>> {
    match known(session, needs) {
        Known::Everywhere => Ok(None),
        Known::Queues(queues) => Ok(Some(queues)),
        Known::Nowhere => Err(lacks(session, needs[0])),
    }
}

/// 42501 unless the caller may touch all queues.
pub fn everywhere(session: &Session, needs: Capability) -> Checked<()> {
    match session.queues() {
        None => Ok(()),
        Some(_) => Err(lacks(session, needs).detail("It has it in some queues only.")),
    }
}

fn lacks(session: &Session, capability: Capability) -> Misuse {
    Misuse::no_capability(&session.caller().name(), capability.name())
}

/// What is kept of a `Reach`.
#[derive(Clone)]
enum Known {
    Nowhere,
    Queues(Rc<QueueIds>),
    Everywhere,
}

#[derive(Default)]
struct Kept {
    generation: u64,
    /// By the role and the capabilities, a bit each.
    known: HashMap<(Role, u8), Known>,
}

/// More than this are forgotten rather than remembered.
const KEPT: usize = 1_024;

thread_local! {
    static KEPT_HERE: RefCell<Kept> = RefCell::default();
}

fn known(session: &Session, needs: &[Capability]) -> Known {
    let bits = needs.iter().fold(0, |bits, need| bits | 1 << *need as u8);
    let key = (session.caller(), bits);
    loop {
        let generation = roles::generation();
        let known = KEPT_HERE.with_borrow_mut(|kept| {
            if kept.generation != generation || kept.known.len() > KEPT {
                *kept = Kept {
                    generation,
                    ..Kept::default()
                };
            }
            kept.known.get(&key).cloned()
        });
        if let Some(known) = known {
            return known;
        }
        roles::watch();
        let known = match look_up(session, session.caller()).reach(needs) {
            Reach::Nowhere => Known::Nowhere,
            Reach::Queues(queues) => Known::Queues(Rc::new(QueueIds::new(&queues))),
            Reach::Everywhere => Known::Everywhere,
        };
        // Kept, and good, only if nothing has changed while it was looked up.
        if roles::generation() == generation {
            KEPT_HERE.with_borrow_mut(|kept| kept.known.insert(key, known.clone()));
            return known;
        }
    }
}

fn look_up(session: &Session, role: Role) -> Access {
    if role.is_owner() {
        return Access::all();
    }
    let mut access = Access::none();
    for granted in capability::all(session) {
        let to = Role::by_name(&granted.role_name);
        if to.is_some_and(|to| role.has_privileges_of(to)) {
            access.grant(granted.capability, granted.queue_id);
        }
    }
    access
}

/// Gives a role a capability, and the server's own privileges with it.
pub fn grant(session: &Session, role: &str, capability: Capability, queue_id: Option<i32>) {
    capability::lock(session);
    let (home, usable) = capability::home(session, role);
    capability::insert(session, role, capability, queue_id, !usable);
    if !usable {
        change_grant(session, Grant::To, "USAGE", &format!("SCHEMA {home}"), role);
    }
    sync(session, role);
}

/// Takes capabilities back, and the server's own privileges with them; 40001 if the caller's fixed snapshot hides what
/// others have granted since.
pub fn revoke(session: &Session, taken: &Taken) -> Checked<()> {
    capability::lock(session);
    let deleted = capability::delete(session, taken);
    if capability::all(session)
        .iter()
        .any(|granted| taken.covers(granted))
    {
        return Err(Misuse::not_serializable());
    }
    for (role, uses_schema) in deleted {
        if Role::by_name(&role).is_none() {
            continue; // It was dropped, and its privileges with it.
        }
        let has_more = sync(session, &role);
        if uses_schema && !has_more {
            let (home, _) = capability::home(session, &role);
            let home = format!("SCHEMA {home}");
            change_grant(session, Grant::From, "USAGE", &home, &role);
        }
    }
    Ok(())
}

/// Brings the server's own privileges of a role in line with its capabilities: the functions it may execute, the
/// views it may read. Returns whether it has any.
fn sync(session: &Session, role_name: &str) -> bool {
    let objects = capability::objects(session);
    let capabilities: Vec<Capability> = capability::all(session)
        .into_iter()
        .filter(|granted| granted.role_name == role_name)
        .map(|granted| granted.capability)
        .collect();
    let reads = capabilities
        .iter()
        .any(|capability| READERS.contains(capability));
    let change = |grant, privilege: &str, what: &str, wanted: &dyn Fn(&&Object) -> bool| {
        let objects: Vec<&str> = objects
            .iter()
            .filter(wanted)
            .map(|object| object.sql.as_str())
            .collect();
        if !objects.is_empty() {
            let objects = format!("{what} {}", objects.join(", "));
            change_grant(session, grant, privilege, &objects, role_name);
        }
    };
    let executes = |object: &&Object| may_execute(&object.name, &capabilities);
    change(Grant::To, "EXECUTE", "FUNCTION", &|object| {
        object.kind == "function" && executes(object)
    });
    change(Grant::From, "EXECUTE", "FUNCTION", &|object| {
        object.kind == "function" && !executes(object)
    });
    let grant = if reads { Grant::To } else { Grant::From };
    change(grant, "SELECT", "TABLE", &|object| object.kind == "view");
    change(grant, "USAGE", "SCHEMA", &|object| object.kind == "schema");
    !capabilities.is_empty()
}
