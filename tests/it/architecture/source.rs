//! Reads what a Rust file imports, as far as the architecture's test needs it: every path that begins at the crate or
//! above the module. Must not know: which import is allowed.

use std::path::Path;

/// The module that a file of `src/` is: `src/grpc/convert.rs` → `["grpc", "convert"]`.
pub fn module_of(file: &str) -> Vec<String> {
    let path = Path::new(file).with_extension("");
    let parts = path.iter().skip(1).map(|part| part.to_str().unwrap());
    parts
        .filter(|part| *part != "mod")
        .map(str::to_owned)
        .collect()
}

/// The full path of every import in `text`, a file that is the module `module`, without its unit tests: these may build
/// what surrounds them. Comments and literals are no imports.
pub fn imports(module: &[String], text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(&without_unit_tests(text));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let inside_a_path = at > 0 && tokens[at - 1] == "::";
        let begins = matches!(tokens[at].as_str(), "crate" | "clave_otp" | "super");
        let goes_on = tokens.get(at + 1).is_some_and(|next| next == "::");
        if begins && goes_on && !inside_a_path {
            let mut prefix = Vec::new();
            if tokens[at] == "super" {
                let parent = module.len().saturating_sub(1);
                prefix = module[..parent].to_vec();
            }
            at = tree(&tokens, at + 2, prefix, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Unit tests stand at the foot of a file.
fn without_unit_tests(text: &str) -> String {
    let code = without_comments_and_literals(text);
    let tests = code.match_indices("#[cfg(test)]").find(|(place, mark)| {
        let rest = code[place + mark.len()..].trim_start();
        rest.starts_with("mod ")
    });
    match tests {
        Some((place, _)) => code[..place].to_owned(),
        None => code,
    }
}

/// Reads one use tree or path from `at`, the place behind `prefix::`; tells where it ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    mut prefix: Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, prefix.clone(), found);
                    // What follows a name, as `as _`, up to the next one.
                    while tokens
                        .get(at)
                        .is_some_and(|token| token != "," && token != "}")
                    {
                        at += 1;
                    }
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "super" => {
                prefix.pop();
            }
            // `{self, …}` is the module itself.
            "self" => {}
            name => prefix.push(name.to_owned()),
        }
        let goes_on = tokens.get(at + 1).is_some_and(|next| next == "::");
        // `::<` gives type arguments: the path has ended.
        let to_a_name = tokens.get(at + 2).is_some_and(|next| next != "<");
        if !(goes_on && to_a_name) {
            break;
        }
        at += 2;
    }
    found.push(prefix);
    at + 1
}

/// Words, `::` and single signs.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |sign: char| sign.is_alphanumeric() || sign == '_';
        let length = if is_word(first) {
            rest.find(|sign| !is_word(sign)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The text with a blank in the place of every comment, string and character.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word_before = code.ends_with(|sign: char| sign.is_alphanumeric() || sign == '_');
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, '"'),
            'r' if !word_before => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Length of the block comment that `text` begins with; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of the literal between two `quote`s that `text` begins with.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if sign == quote => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string that `text`, which begins with `r`, begins with; 0 where it is a word.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let Some(inside) = text[1 + hashes..].strip_prefix('"') else {
        return 0;
    };
    let end = format!("\"{}", "#".repeat(hashes));
    match inside.find(&end) {
        Some(place) => 2 + hashes + place + end.len(),
        None => text.len(),
    }
}

/// Length of the character that `text`, which begins with `'`, begins with; 0 where it is a lifetime.
fn character(text: &str) -> usize {
    let mut signs = text.chars().skip(1);
    match (signs.next(), signs.next()) {
        (Some('\\'), _) => quoted(text, '\''),
        (Some(sign), Some('\'')) => 2 + sign.len_utf8(),
        _ => 0,
    }
}
