//! `GetSMSCERTIFICADO` and `GetReportSMSCERTIFICADO`: what became of messages, as a ZIP of PDF and CSV, or as JSON.
//!
//! Must not know: HTTP. What the certificates look like in reality is not public: these are small and say what they are.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    answer::{Reply, Wrong},
    book::{Book, Entry, Stage},
    form::Form,
    pdf, states,
    time::{self, DateForm},
    turn::Turn,
    zip,
};

/// Largest padding of a certificate that a script may ask for, in bytes.
const LARGEST_CERTIFICATE: usize = 50_000_000;

/// Most certificates in one archive.
const MOST_CERTIFICATES: usize = 1_000;

/// `GetSMSCERTIFICADO`: an archive.
pub(super) fn download(book: &mut Book, turn: &Turn<'_>, form: &Form) -> Result<Vec<u8>, Wrong> {
    let at_least = book.rules.certificate_bytes.min(LARGEST_CERTIFICATE);
    let phone = form.filled("Telefono");
    let entries: Vec<(u64, &Entry)> = if let Some(text) = form.filled("Idmensaje") {
        let group = book.group_of(turn.login, text, (-2, -2))?;
        let id = text.trim().parse().unwrap_or_default();
        group.entries.iter().map(|entry| (id, entry)).collect()
    } else if let (Some(from), Some(to), None) =
        (form.filled("FechaInicio"), form.filled("FechaFin"), phone)
    {
        let edge =
            |text, ends| time::read_edge(text, ends).ok_or_else(|| Wrong::call("Fecha incorrecta"));
        let span = edge(from, false)?..=edge(to, true)?;
        let groups = book.groups_of(turn.login);
        let entries = groups.flat_map(|(id, group)| group.entries.iter().map(move |e| (id, e)));
        entries
            .filter(|(_, entry)| span.contains(&entry.message.receive_time))
            .collect()
    } else {
        return Err(Wrong::call("Falta Idmensaje, o FechaInicio y FechaFin"));
    };
    let asked: Vec<_> = entries
        .into_iter()
        .filter(|(_, entry)| phone.is_none_or(|phone| entry.message.phone.expose() == phone))
        .collect();
    if asked.is_empty() {
        return Err(Wrong::code(-2));
    }
    let certified = asked
        .iter()
        .filter(|(_, entry)| states::is_certified(entry.state));
    let mut files: Vec<_> = certified
        .take(MOST_CERTIFICATES)
        .map(|(id, entry)| certificate(*id, entry, at_least))
        .collect();
    if files.is_empty() {
        return Err(Wrong::code(-4));
    }
    turn.allows()?;
    files.push(("report.csv".to_owned(), table(&asked)));
    // A group holds a phone once, so no two certificates have one name.
    zip::archive(&files).map_err(|_| Wrong::call("Error al crear el ZIP"))
}

fn certificate(id: u64, entry: &Entry, at_least: usize) -> (String, Vec<u8>) {
    let phone = entry.message.phone.expose();
    let lines = [
        "Certificado de un simulador: sin valor legal".to_owned(),
        format!("Mensaje {id}"),
        format!("Destinatario {phone}"),
        format!("Remitente {}", entry.message.sender),
        format!("Estado {}", entry.state),
        format!("Fecha {}", time::write(entry.state_time, DateForm::Spaced)),
    ];
    (format!("{id}_{phone}.pdf"), pdf::document(&lines, at_least))
}

fn table(entries: &[(u64, &Entry)]) -> Vec<u8> {
    let mut table = String::from("idMensaje;Telefono;Fecha;Resultado;Estado;Referencia\r\n");
    for (id, entry) in entries {
        let reference = entry.details().map_or("", |details| &details.reference);
        // Nothing fails to be written into a string.
        let _ = write!(
            table,
            "{id};{};{};{};{};{}\r\n",
            entry.message.phone.expose(),
            time::write(entry.state_time, DateForm::Spaced),
            entry.state,
            states::name(entry.state),
            reference.replace([';', '\r', '\n', '"'], " "),
        );
    }
    table.into_bytes()
}

/// `GetReportSMSCERTIFICADO`.
pub(super) fn report(book: &mut Book, turn: &Turn<'_>, form: &Form) -> Result<Reply, Wrong> {
    let id = form.get("Idmensaje").unwrap_or_default();
    let group = book.group_of(turn.login, id, (-4, -2))?;
    let res = turn.allows()?.unwrap_or(1);
    let lines: Vec<Value> = group.entries.iter().map(line).collect();
    Ok(Reply::res(res)
        .with("Destinatarios", lines.len())
        .with("Informe", lines))
}

fn line(entry: &Entry) -> Value {
    let begun = match &entry.stage {
        Stage::Sent => entry.details().and_then(|details| details.scheduled),
        _ => None,
    };
    let begun = begun.unwrap_or(entry.message.receive_time);
    let seconds = entry.state_time.duration_since(begun).as_secs();
    json!({
        "Fecha": time::write(entry.state_time, DateForm::Spaced),
        "Tiempo": seconds.max(0),
        "Telefono": entry.message.phone.expose(),
        "Resultado": entry.state,
        "Estado": states::name(entry.state),
    })
}
