use super::args::{self, Checked, answer};
use super::{access, queues};
use crate::model::access::Capability;
use crate::pg::datum::Text;
use crate::pg::error::Misuse;
use crate::pg::roles::Role;
use crate::pg::session::Session;
use crate::store::capability::{self, Granted, Taken};
use pgrx::prelude::*;

/// Lets a role do something: all that a capability covers, in one queue or in all.
///
/// Arguments: `role_name`; `capability`: `produce` (create tasks), `work` (acquire, start, heartbeat, append, finalize, fail,
/// release, require, dispatch, annotate with a token; read its own queues), `observe` (read), `control` (cancel, annotate,
/// redrive, pause, resume, reap, append without a token) or `operate` (queues, purge, check); `queue` (NULL: all queues, and
/// those to come).
///
/// Members of the role have what it has, as with the server's own privileges. It is kept by the role's name and
/// survives a dump (and a role that is created under the name of one that was dropped has it: revoke before you drop).
/// Granted twice is granted once. EXECUTE on the functions, USAGE of their schema and of schema baton, and SELECT on its views
/// follow; what was granted on these by hand is brought in line.
///
/// Errors: 22004, 22023 (capability), 42501 (only the owner of the extension may), 42704 (no such role or queue).
///
/// Locks: the table of capabilities, against other grants; sessions see the change with their next call.
#[pg_extern(volatile, parallel_unsafe)]
fn baton_grant(
    role_name: Option<Text>,
    capability: Option<Text>,
    queue: default!(Option<Text>, "NULL"),
) {
    let session = access::owner(c"baton_grant()");
    let grant = || -> Checked<()> {
        let role = args::required_word("role_name", role_name)?;
        let capability = named(args::required_word("capability", capability)?)?;
        let queue = args::optional_word("queue", queue)?;
        if Role::by_name(&role).is_none() {
            return Err(Misuse::no_role(&role));
        }
        let queue_id = queue
            .map(|queue| Ok(queues::writable(&session, &queue)?.queue_id))
            .transpose()?;
        access::grant(&session, &role, capability, queue_id);
        Ok(())
    };
    answer(grant())
}

/// Takes back what baton_grant gave. What was not given is not missed.
///
/// Arguments: as baton_grant; `queue` NULL: everywhere, also what was given for single queues.
///
/// Errors: 22004, 22023 (capability), 42501 (only the owner of the extension may), 42704 (no such role or queue), 55000 (the
/// role has the capability in all queues: it cannot be taken back for one).
///
/// Locks: as baton_grant.
#[pg_extern(volatile, parallel_unsafe)]
fn baton_revoke(
    role_name: Option<Text>,
    capability: Option<Text>,
    queue: default!(Option<Text>, "NULL"),
) {
    let session = access::owner(c"baton_revoke()");
    let revoke = || -> Checked<()> {
        let role = args::required_word("role_name", role_name)?;
        let capability = named(args::required_word("capability", capability)?)?;
        let queue = args::optional_word("queue", queue)?;
        // The queue before the table, as everybody who takes both.
        let queue_id = queue
            .map(|queue| Ok(queues::writable(&session, &queue)?.queue_id))
            .transpose()?;
        capability::lock(&session);
        let granted = granted(&session, &role);
        if granted.is_empty() && Role::by_name(&role).is_none() {
            return Err(Misuse::no_role(&role));
        }
        let everywhere = granted
            .iter()
            .any(|granted| granted.capability == capability && granted.queue_id.is_none());
        if everywhere && queue_id.is_some() {
            return Err(Misuse::wrong_state(format!(
                "role \"{role}\" has capability {} in all queues",
                capability.name()
            ))
            .hint("Revoke it without a queue, and grant it for the queues it should keep."));
        }
        let taken = Taken::From {
            role: &role,
            capability,
            queue_id,
        };
        access::revoke(&session, &taken)
    };
    answer(revoke())
}

fn granted(session: &Session, role: &str) -> Vec<Granted> {
    let mut granted = capability::all(session);
    granted.retain(|granted| granted.role_name == role);
    granted
}

fn named(name: String) -> Checked<Capability> {
    Capability::parse(&name).ok_or_else(|| {
        Misuse::bad_value(format!("argument \"capability\" is \"{name}\"")).detail(format!(
            "It must be one of {}.",
            Capability::ALL.map(Capability::name).join(", ")
        ))
    })
}
