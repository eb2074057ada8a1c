//! Says "1 minuto" where a template says "{minutes} minutos".
//!
//! Must not know: which language a template is in; the plural word tells.

/// The plural word after `{minutes}` and what the two become for one minute. Spanish and Galician share the first.
const ONE_MINUTE: [(&str, &str); 5] = [
    ("minutos", "1 minuto"),
    ("minuts", "1 minut"),
    // Basque puts its "one" behind the noun.
    ("minututan", "minutu batean"),
    ("menutes", "1 menuta"),
    ("minutes", "1 minute"),
];

/// The template for exactly one minute; `None` where the usual wording serves, as in "{minutes} min".
pub(super) fn for_one_minute(template: &str) -> Option<String> {
    const PLACE: &str = "{minutes} ";
    let mut result = String::with_capacity(template.len());
    let mut rest = template;
    let mut changed = false;
    while let Some(place) = rest.find(PLACE) {
        let (before, from_place) = rest.split_at(place);
        let after = &from_place[PLACE.len()..];
        let end = after.find(|next: char| !next.is_alphabetic());
        let (word, after_word) = after.split_at(end.unwrap_or(after.len()));
        result.push_str(before);
        if let Some((_, one)) = ONE_MINUTE.iter().find(|(plural, _)| *plural == word) {
            push(&mut result, one);
            rest = after_word;
            changed = true;
        } else {
            result.push_str(PLACE);
            rest = after;
        }
    }
    result.push_str(rest);
    changed.then_some(result)
}

/// Adds the words with a capital where a sentence begins; a digit has none.
fn push(text: &mut String, words: &str) {
    let before = text.trim_end();
    let sentence_begins = before.is_empty() || before.ends_with(['.', '!', '?']);
    let mut characters = words.chars();
    if sentence_begins && let Some(first) = characters.next() {
        text.extend(first.to_uppercase());
    }
    text.push_str(characters.as_str());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minute_is_said_in_the_singular() {
        for (template, one) in [
            ("Caduca en {minutes} minutos. No", "Caduca en 1 minuto. No"),
            ("d'aquí a {minutes} minuts.", "d'aquí a 1 minut."),
            ("kodea. {minutes} minututan", "kodea. Minutu batean"),
            ("da, {minutes} minututan", "da, minutu batean"),
            ("en {minutes} menutes", "en 1 menuta"),
            ("in {minutes} minutes.", "in 1 minute."),
        ] {
            assert_eq!(for_one_minute(template).as_deref(), Some(one));
        }
    }

    #[test]
    fn other_wordings_serve_for_one_minute_as_well() {
        for template in [
            "{minutes} min",
            "{minutes}",
            "minutos: {minutes} ",
            "{minutes} minutosa",
            "",
        ] {
            assert_eq!(for_one_minute(template), None, "{template}");
        }
    }
}
