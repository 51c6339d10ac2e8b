//! Who may call what: a function needs a capability, and a role has capabilities, in all queues or in some.

/// What a role may be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Create tasks, start runs.
    Produce,
    /// Acquire, and all that the holder of a lease does.
    Work,
    /// Read.
    Observe,
    /// Cancel, annotate, redrive, pause, resume, reap.
    Control,
    /// Queues, purge, check.
    Operate,
}

use Capability::*;

impl Capability {
    pub const ALL: [Capability; 5] = [Produce, Work, Observe, Control, Operate];

    pub fn name(self) -> &'static str {
        match self {
            Produce => "produce",
            Work => "work",
            Observe => "observe",
            Control => "control",
            Operate => "operate",
        }
    }

    pub fn parse(name: &str) -> Option<Capability> {
        Capability::ALL
            .into_iter()
            .find(|capability| capability.name() == name)
    }
}

/// Who may read: who works in a queue may look at it too.
pub const READERS: &[Capability] = &[Observe, Work];
/// Who may write to a tape or change metadata: the holder of a lease, or who controls the task.
pub const WRITERS: &[Capability] = &[Work, Control];

/// The capabilities of which one lets a role execute a function; none: the extension's owner only. (Which of
/// them a call needs may depend on its arguments: the function decides.)
pub const FUNCTIONS: &[(&str, &[Capability])] = &[
    ("baton_check", &[Operate]),
    ("baton_grant", &[]),
    ("baton_purge", &[Operate]),
    ("baton_revoke", &[]),
    ("queue_alter", &[Operate]),
    ("queue_create", &[Operate]),
    ("queue_drop", &[Operate]),
    ("queue_pause", &[Control]),
    ("queue_redrive", &[Control]),
    ("queue_resume", &[Control]),
    ("slot_set", &[Operate]),
    ("task_acquire_lease", &[Work]),
    ("task_acquire_lease_by_id", &[Work]),
    ("task_annotate", WRITERS),
    ("task_annotations", READERS),
    ("task_append_event", WRITERS),
    ("task_append_events", WRITERS),
    ("task_cancel", &[Control]),
    ("task_compensations", READERS),
    ("task_create", &[Produce]),
    ("task_create_items", &[Produce]),
    ("task_create_many", &[Produce]),
    ("task_dispatch_successor", &[Work]),
    ("task_events", READERS),
    ("task_fail_attempt", &[Work]),
    ("task_finalize", &[Work]),
    ("task_finalize_many", &[Work]),
    ("task_get", READERS),
    ("task_get_by_key", READERS),
    ("task_heartbeat", &[Work]),
    ("task_heartbeat_many", &[Work]),
    ("task_items", READERS),
    ("task_list", READERS),
    ("task_reap", &[Control]),
    ("task_reap_owner", &[Control]),
    ("task_redrive", &[Control]),
    ("task_register_compensation", &[Work]),
    ("task_release", &[Work]),
    ("task_require_lease", &[Work]),
    ("task_start", &[Work]),
    ("workflow_annotate", &[Control]),
    ("workflow_append_event", &[Control]),
    ("workflow_cancel", &[Control]),
    ("workflow_compensations", READERS),
    ("workflow_define", &[Operate]),
    ("workflow_events", READERS),
    ("workflow_finalize", &[Control]),
    ("workflow_get", READERS),
    ("workflow_mermaid", READERS),
    ("workflow_pause", &[Control]),
    ("workflow_resume", &[Control]),
    ("workflow_start", &[Produce]),
    ("workflow_steps", READERS),
    // What the views call.
    ("_clock", READERS),
    ("_queues_seen", READERS),
    // What the tables call, and what is read by the functions themselves.
    ("_capabilities_changed", &[]),
    ("_only_the_functions_write", &[]),
    ("_state_name", &[]),
    ("_state_name_of_compensation", &[]),
    ("_document", &[]),
    ("_compensation", &[]),
    ("_evaluate", &[]),
    ("_fill", &[]),
    ("_fill_item", &[]),
    ("_interval", &[]),
    ("_why_not", &[]),
];

/// The queues in which a role has a capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Nowhere,
    /// Sorted, and not empty.
    Queues(Vec<i32>),
    Everywhere,
}

impl Reach {
    /// One that reaches wherever one of the two does.
    pub fn or(self, other: Reach) -> Reach {
        match (self, other) {
            (Reach::Everywhere, _) | (_, Reach::Everywhere) => Reach::Everywhere,
            (Reach::Nowhere, reach) | (reach, Reach::Nowhere) => reach,
            (Reach::Queues(mut queues), Reach::Queues(more)) => {
                queues.extend(more);
                queues.sort_unstable();
                queues.dedup();
                Reach::Queues(queues)
            }
        }
    }

    /// A grant: of one queue, or of all.
    pub fn of(queue_id: Option<i32>) -> Reach {
        match queue_id {
            None => Reach::Everywhere,
            Some(queue_id) => Reach::Queues(vec![queue_id]),
        }
    }
}

/// What a role may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    reach: [Reach; Capability::ALL.len()],
}

impl Access {
    pub fn none() -> Access {
        Access {
            reach: [const { Reach::Nowhere }; Capability::ALL.len()],
        }
    }

    /// The extension's owner, and superusers.
    pub fn all() -> Access {
        Access {
            reach: [const { Reach::Everywhere }; Capability::ALL.len()],
        }
    }

    pub fn grant(&mut self, capability: Capability, queue_id: Option<i32>) {
        let reach = &mut self.reach[capability as usize];
        *reach = std::mem::replace(reach, Reach::Nowhere).or(Reach::of(queue_id));
    }

    /// Where one of these capabilities reaches.
    pub fn reach(&self, capabilities: &[Capability]) -> Reach {
        capabilities
            .iter()
            .map(|capability| self.reach[*capability as usize].clone())
            .fold(Reach::Nowhere, Reach::or)
    }
}

/// Whether a role with these capabilities, anywhere, may execute the function.
pub fn may_execute(function: &str, capabilities: &[Capability]) -> bool {
    FUNCTIONS
        .iter()
        .find(|(name, _)| *name == function)
        .is_some_and(|(_, needs)| needs.iter().any(|need| capabilities.contains(need)))
}
