//! The functions of the API, by the names that stand in a path.
//!
//! Must not know: what a function does.

use std::fmt;

/// One function of Mensatek's API 7.0 (official text; confidence A), and `EnviarSMS`, its sibling for plain SMS (A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MensatekFunction {
    /// `EnviarSMS`: plain SMS.
    SendSms,
    /// `EnviarSMSCERTIFICADO`: certified SMS and SMS contract.
    SendCertified,
    /// `CancelarSMSCERTIFICADO`.
    Cancel,
    /// `ReprogramarSMSCERTIFICADO`.
    Reschedule,
    /// `GetSMSCERTIFICADO`: certificates as a ZIP.
    Certificates,
    /// `GetReportSMSCERTIFICADO`.
    Report,
    /// `CargarFichero`.
    UploadFile,
    /// `ListarFicheros`.
    ListFiles,
    /// `BorrarFichero`.
    DeleteFile,
    /// `GetCreditos`.
    Credits,
}

/// What both functions that send take, if it is there.
const SENDING: &[&str] = &[
    "Fecha",
    "Referenciausuario",
    "Report",
    "Idmensaje",
    "Vpd",
    "Vph",
    "Vpm",
    "Unicode",
    "Fixutf8",
    "Tipocontrato",
    "Identificar",
    "Aceptacion",
];

/// How many of them plain SMS has: those of certified SMS stand at the end.
const OF_PLAIN_SMS: usize = 9;

impl MensatekFunction {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SendSms,
        Self::SendCertified,
        Self::Cancel,
        Self::Reschedule,
        Self::Certificates,
        Self::Report,
        Self::UploadFile,
        Self::ListFiles,
        Self::DeleteFile,
        Self::Credits,
    ];

    /// The name as it stands in the path, in exact case.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendSms => "EnviarSMS",
            Self::SendCertified => "EnviarSMSCERTIFICADO",
            Self::Cancel => "CancelarSMSCERTIFICADO",
            Self::Reschedule => "ReprogramarSMSCERTIFICADO",
            Self::Certificates => "GetSMSCERTIFICADO",
            Self::Report => "GetReportSMSCERTIFICADO",
            Self::UploadFile => "CargarFichero",
            Self::ListFiles => "ListarFicheros",
            Self::DeleteFile => "BorrarFichero",
            Self::Credits => "GetCreditos",
        }
    }

    /// The function of this name.
    pub(in crate::simulator) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|function| function.name() == name)
    }

    /// The parameters that must come and say something, and those that may come, besides `Resp`.
    pub(super) fn parameters(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            // `Remitente` must come too, but may be blank.
            Self::SendSms => (&["Destinatarios", "Mensaje"], &SENDING[..OF_PLAIN_SMS]),
            Self::SendCertified => (
                &[
                    "Destinatarios",
                    "Mensaje",
                    "Contacto",
                    "Telcontacto",
                    "Cifcontacto",
                ],
                SENDING,
            ),
            Self::Cancel | Self::Report => (&["Idmensaje"], &[]),
            Self::Reschedule => (&["Idmensaje", "Fecha"], &[]),
            Self::Certificates => (&[], &["Idmensaje", "Telefono", "FechaInicio", "FechaFin"]),
            // `Tipo` has a code of its own where it is missing.
            Self::UploadFile => (&[], &["Nombre", "Tipo", "Contenido", "Autoborrado"]),
            Self::DeleteFile => (&["Nombre"], &[]),
            Self::ListFiles | Self::Credits => (&[], &[]),
        }
    }

    /// Whether it sends messages.
    pub(in crate::simulator) fn sends(self) -> bool {
        matches!(self, Self::SendSms | Self::SendCertified)
    }
}

impl fmt::Display for MensatekFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
