//! A run as a Mermaid flowchart. Names are anybody's text: none of it may end its label, or mean anything to
//! Mermaid, to the Markdown around it or to a browser. `tests/mermaid` asks Mermaid itself.

use super::run::{StepState, When};

/// A step of the run.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    pub name: &'a str,
    pub state: StepState,
    pub total: i64,
    pub ended: i64,
    /// Indexes into the slice.
    pub needs: Vec<usize>,
    pub when: When,
    pub has_condition: bool,
    pub checkpoint: Option<&'a str>,
}

/// The whole text. A page draws 500 arrows and 50,000 characters at most, unless its owner raised Mermaid's `maxEdges`
/// and `maxTextSize`; all arrows to a step are one line, to stay short.
pub fn graph(title: &str, nodes: &[Node]) -> String {
    let mut text = String::new();
    if !title.is_empty() {
        text += &format!("---\ntitle: \"{}\"\n---\n", in_yaml(title));
    }
    text += "flowchart TD\n";
    for (i, node) in nodes.iter().enumerate() {
        text += &format!("    s{i}[\"{}\"]:::{}\n", label(node), node.state.name());
    }
    for (i, node) in nodes.iter().enumerate() {
        if node.needs.is_empty() {
            continue;
        }
        let needs: Vec<String> = node.needs.iter().map(|need| format!("s{need}")).collect();
        let arrow = if node.has_condition { "-.->" } else { "-->" };
        let when = match node.when {
            When::Completed => "",
            When::Failed => "|failed|",
            When::Done => "|done|",
        };
        text += &format!("    {} {arrow}{when} s{i}\n", needs.join(" & "));
    }
    for state in StepState::ALL {
        text += &format!("    classDef {} {}\n", state.name(), colours(state));
    }
    text
}

/// Name, state and checkpoint, a line each. No line has a colon before an entity: after the word `style`, Mermaid
/// would take the semicolon off that entity.
fn label(node: &Node) -> String {
    let mut label = format!("{}<br/>{}", in_label(node.name), node.state.name());
    if node.total > 1 {
        label += &format!(", {} of {}", node.ended, node.total);
    }
    if let Some(checkpoint) = node.checkpoint {
        label += &format!("<br/>checkpoint {}", in_label(checkpoint));
    }
    label
}

/// Dark on light, all three given, so that they read the same on a dark page.
fn colours(state: StepState) -> &'static str {
    match state {
        StepState::Waiting => "fill:#f6f8fa,stroke:#8c959f,color:#1f2328",
        StepState::Running => "fill:#ddf4ff,stroke:#0969da,color:#1f2328",
        StepState::Completed => "fill:#dafbe1,stroke:#1a7f37,color:#1f2328",
        StepState::Failed => "fill:#ffebe9,stroke:#cf222e,color:#1f2328",
        StepState::Cancelled => "fill:#fff8c5,stroke:#9a6700,color:#1f2328",
        StepState::Skipped => "fill:#f6f8fa,stroke:#8c959f,color:#6e7781,stroke-dasharray:4",
    }
}

/// Text within a quoted label: what is no letter or digit is an entity.
fn in_label(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    let mut before = None;
    for c in as_read(text).chars() {
        match c {
            // A browser shows one space for many, and none at the beginning.
            ' ' if matches!(before, None | Some(' ')) => label += "#160;",
            // `direction LR` is a statement wherever it stands in a line, quoted or not.
            ' ' if label.ends_with("direction") => label += "#32;",
            ' ' | '-' | '_' | '.' | '/' => label.push(c),
            _ if c.is_alphanumeric() => label.push(c),
            _ => label += &format!("#{};", u32::from(c)),
        }
        before = Some(c);
    }
    label
}

/// Text within double quotes of the front matter. Mermaid shows a title as it stands, entities included, but makes
/// entities of three characters itself: their wide twins take their place.
fn in_yaml(text: &str) -> String {
    let mut yaml = String::with_capacity(text.len());
    for c in as_read(text).chars() {
        match c {
            '<' => yaml.push('＜'),
            '>' => yaml.push('＞'),
            '&' => yaml.push('＆'),
            '"' | '\\' => yaml.extend(['\\', c]),
            _ if c.is_ascii() || c.is_alphanumeric() => yaml.push(c),
            _ => yaml += &format!("\\U{:08X}", u32::from(c)),
        }
    }
    yaml
}

/// The text as a reader sees it: control characters as pictures, and a word joiner, which has no width, between
/// characters that Mermaid would still take for something else after it has decoded all entities.
fn as_read(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    let mut before = None;
    for c in text.chars() {
        let c = match c {
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(c),
            '\x7f' => '\u{2421}',
            '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
            _ => c,
        };
        if is_markup(before, c) {
            seen.push('\u{2060}');
        }
        seen.push(c);
        before = Some(c);
    }
    seen
}

/// A line break, a formula, Mermaid's own marks for entities, an icon (`fa:fa-ban`), a link; and at the beginning a list
/// or a heading, which Mermaid 11.4 refuses to draw.
fn is_markup(before: Option<char>, c: char) -> bool {
    match before {
        None => c.is_ascii() && !c.is_ascii_alphabetic() && c != ' ',
        Some(before) => matches!(
            (before, c),
            ('\\', _) | ('$', '$') | ('ﬂ', '°') | ('¶', 'ß') | (':', 'f' | '/')
        ),
    }
}
