//! Which steps a path may read: as much of PostgreSQL's path language as it takes to tell.

/// What an expression may read of the document it is evaluated over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Read<'a> {
    Step(&'a str),
    /// It cannot be told which.
    AnyStep,
    /// `item` or `item_index`.
    Item(&'a str),
}

/// What follows each `$`: everything an expression sees it has reached from there, `@` and filters, too.
pub fn reads_of(expression: &str) -> Vec<Read<'_>> {
    use Token::*;
    let tokens = tokens(expression);
    let mut reads = Vec::new();
    for at in 0..tokens.len() {
        reads.push(match &tokens[at..] {
            // A method: .keyvalue() shows the whole document, .size() of steps tells of them all.
            [Root, Dot, Key(_), Open, ..] | [Root, Dot, Key("steps"), Dot, Key(_), Open, ..] => {
                Read::AnyStep
            }
            [Root, Dot, Key("steps"), Dot, Key(name), ..] => Read::Step(name),
            [Root, Dot, Key("steps"), ..] => Read::AnyStep,
            [Root, Dot, Key(name @ ("item" | "item_index")), ..] => Read::Item(name),
            [Root, Dot, Key(_), ..] => continue,
            // Wildcards, subscripts, filters on the whole document; also variables.
            [Root, ..] => Read::AnyStep,
            _ => continue,
        });
    }
    reads
}

/// Of PostgreSQL's path language as much as it takes to tell a key from what looks like one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// `$`
    Root,
    Dot,
    /// A key as it is spelled, quoted or not; also numbers, operators in letters and strings.
    Key(&'a str),
    /// `(`
    Open,
    /// Anything else; also a key with an escape in it or a comment at its end, which may be another.
    Other,
}

fn tokens(expression: &str) -> Vec<Token<'_>> {
    const SPACES: &[char] = &[' ', '\t', '\n', '\r', '\x0c'];
    let ends_key = |c: char| SPACES.contains(&c) || "?%$.[]{}()|&!=<>@#,*:-+/\"".contains(c);
    let mut tokens = Vec::new();
    let mut rest = expression;
    loop {
        rest = rest.trim_start_matches(SPACES);
        let Some(first) = rest.chars().next() else {
            return tokens;
        };
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
            continue;
        }
        let (token, length) = match first {
            '$' => (Token::Root, 1),
            '.' => (Token::Dot, 1),
            '(' => (Token::Open, 1),
            '"' => quoted(rest),
            _ if ends_key(first) => (Token::Other, first.len_utf8()),
            _ => {
                let mut escaped = false;
                let end = rest.find(|c| {
                    let ends = !escaped && ends_key(c);
                    escaped = !escaped && c == '\\';
                    ends
                });
                let (key, after) = rest.split_at(end.unwrap_or(rest.len()));
                // PostgreSQL 15 forgets a key that a comment touches: a/**/b is b.
                let is_clear = !key.contains('\\') && !after.starts_with("/*");
                let token = if is_clear {
                    Token::Key(key)
                } else {
                    Token::Other
                };
                (token, key.len())
            }
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

/// A key or a string in quotes, and its length with them.
fn quoted(rest: &str) -> (Token<'_>, usize) {
    let mut escaped = false;
    let mut has_escape = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => (escaped, has_escape) = (true, true),
            '"' if has_escape => return (Token::Other, at + 1),
            '"' => return (Token::Key(&rest[1..at]), at + 1),
            _ => {}
        }
    }
    (Token::Other, rest.len())
}
