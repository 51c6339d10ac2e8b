//! Who may do what.

use crate::model::access::Capability;
use crate::pg::session::Session;
use crate::statements;
use std::collections::BTreeMap;

statements! {
    CAPABILITIES = "capabilities.sql",
    LOCK = "capability_lock.sql",
    INSERT = "capability_insert.sql",
    DELETE = "capability_delete.sql",
    HOME = "capability_home.sql",
    OBJECTS = "capability_objects.sql",
}

/// What a role was granted, in one queue or in all.
pub struct Granted {
    pub role_name: String,
    pub capability: Capability,
    pub queue_id: Option<i32>,
}

/// All that was granted, by what is committed now.
pub fn all(session: &Session) -> Vec<Granted> {
    CAPABILITIES.with(|s| {
        s.read_latest(session, &[]).all(|row| {
            let role_name = row.get();
            let capability: String = row.get();
            Granted {
                role_name,
                capability: Capability::parse(&capability)
                    .expect("the table holds known capabilities only"),
                queue_id: row.get(),
            }
        })
    })
}

/// One change at a time.
pub fn lock(session: &Session) {
    LOCK.with(|s| drop(s.write(session, &[])));
}

/// `uses_schema`: it is granted USAGE of the functions' schema with it.
pub fn insert(
    session: &Session,
    role: &str,
    capability: Capability,
    queue_id: Option<i32>,
    uses_schema: bool,
) {
    let args = [
        role.into(),
        capability.name().into(),
        queue_id.into(),
        uses_schema.into(),
    ];
    INSERT.with(|s| drop(s.write(session, &args)));
}

/// What is taken back.
pub enum Taken<'a> {
    /// From a role: one capability, in one queue, or everywhere.
    From {
        role: &'a str,
        capability: Capability,
        queue_id: Option<i32>,
    },
    /// From everybody, all capabilities in one queue.
    InQueue(i32),
}

impl Taken<'_> {
    pub fn covers(&self, granted: &Granted) -> bool {
        match *self {
            Taken::From {
                role,
                capability,
                queue_id,
            } => {
                granted.role_name == role
                    && granted.capability == capability
                    && (queue_id.is_none() || granted.queue_id == queue_id)
            }
            Taken::InQueue(queue_id) => granted.queue_id == Some(queue_id),
        }
    }
}

/// The roles it was taken from, and whether they were granted USAGE of the functions' schema with it.
pub fn delete(session: &Session, taken: &Taken) -> BTreeMap<String, bool> {
    let args = match taken {
        Taken::From {
            role,
            capability,
            queue_id,
        } => [
            Some((*role).to_owned()).into(),
            Some(capability.name().to_owned()).into(),
            (*queue_id).into(),
        ],
        Taken::InQueue(queue_id) => [
            None::<String>.into(),
            None::<String>.into(),
            Some(*queue_id).into(),
        ],
    };
    let mut roles = BTreeMap::new();
    let rows: Vec<(String, bool)> =
        DELETE.with(|s| s.write(session, &args).all(|row| (row.get(), row.get())));
    for (role, uses_schema) in rows {
        *roles.entry(role).or_default() |= uses_schema;
    }
    roles
}

/// The schema of the functions, as it stands in a GRANT, and whether the role may use it.
pub fn home(session: &Session, role: &str) -> (String, bool) {
    HOME.with(|s| {
        s.write(session, &[role.into()])
            .first(|row| (row.get(), row.get()))
    })
    .expect("the extension has a schema")
}

/// What the server itself protects.
pub struct Object {
    /// function, view or schema
    pub kind: String,
    /// Unqualified.
    pub name: String,
    /// As it stands in a GRANT.
    pub sql: String,
}

/// The extension's functions and views, and the schema of the views.
pub fn objects(session: &Session) -> Vec<Object> {
    OBJECTS.with(|s| {
        s.write(session, &[]).all(|row| Object {
            kind: row.get(),
            name: row.get(),
            sql: row.get(),
        })
    })
}
