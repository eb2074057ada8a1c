//! The states of a message: what each is called, and which end what.
//!
//! Must not know: callbacks, certificates.

/// Cancelled before its time (confidence C).
pub(super) const CANCELLED: i32 = 29;

/// Scheduled.
pub(super) const SCHEDULED: i32 = 1;

/// Whether nothing is settled yet: a later state of this kind does not undo one that settles.
pub(super) fn is_waiting(state: i32) -> bool {
    matches!(state, 0..=2 | 10 | 12 | 31 | 120..=122 | 134 | 135 | 1000..=1003)
}

/// Whether a certificate can be downloaded: 14, 17 and 181 (official text; confidence A). The text says 160 as well, which is
/// "has opened the contract": taken for a slip of 180 (C). That a contract which was rejected or expired has one is **assumed**.
pub(super) fn is_certified(state: i32) -> bool {
    matches!(state, 14 | 17 | 180 | 181 | 190 | 195)
}

/// Whether a callback carries `Variables` (official text; confidence A).
pub(super) fn tells_variables(state: i32) -> bool {
    matches!(state, 160 | 180 | 181 | 190 | 195)
}

/// What the state is called (official text, and for 11, 12, 22 to 31 and 200 what practice shows; confidence A, C).
pub(super) fn name(state: i32) -> &'static str {
    match state {
        0 | 2 | 10 | 12 | 31 | 1000 => "Esperando entrega",
        SCHEDULED | 1001 => "Programado",
        11 | 13 => "Entregado al teléfono",
        14 => "SMS Certificado Entregado y Certificado",
        15 => "Esperando respuesta en SMS Contrato mediante respuesta SI/Acepto",
        16 => "Respuesta recibida. Certificando",
        17 => "SMS Contrato mediante respuesta certificado",
        22..=28 => "Error en el envío",
        CANCELLED => "Cancelado",
        50 => "La Red responde que el teléfono no existe",
        51 => "Falló la entrega al teléfono",
        52 => "Falló la entrega a la red",
        53 | 101 | 103 | 113 => "El mensaje ha expirado. (El teléfono sigue no operativo)",
        54 => "Número en Lista Negra",
        55 => "Número Bloqueado",
        70 | 106 => "Entregado al teléfono. Tiempo de entrega no disponible",
        102 => "Usuario dado de baja",
        104 => "El teléfono no es correcto",
        110 => "El teléfono no existe",
        111 | 137 => "Teléfono dado de baja",
        112 | 136 => "Teléfono sin servicio",
        120 | 122 => "Fallo en el SMSC destino",
        121 => "Congestión en el SMSC destino",
        130 => "Error en el Teléfono destino",
        131 => "El Móvil ha excedido la capacidad de memoria (no cabe el mensaje)",
        132 => "El Móvil no puede recibir mensajes",
        133 => "Fallo en móvil destino (dado de baja)",
        134 | 1003 => "Problema en el móvil destino. Reintentando...",
        135 => "Problema en la red destino. Reintentando...",
        140 | 141 => "Error de destino, contacte con soporte",
        150 => "La red de destino ha cerrado temporalmente la entrega de mensajes",
        160 => "SMS Contrato. El usuario ha accedido al Contrato/PDF",
        161 => "SMS Contrato. Contrato Leído",
        162 => "SMS Contrato. Contrato Aceptado",
        163 => "SMS Contrato. Contrato firmado",
        180 => "SMS Contrato. Estado Final. Contrato Aceptado por aceptación básica",
        181 => "SMS Contrato. Estado Final. Contrato Aceptado y firmado con firma biométrica",
        190 => "SMS Contrato. Contrato rechazado",
        195 => "SMS Contrato. Contrato expirado",
        200 => "Rechazado por la operadora",
        1002 => "Enviando",
        5000 => "SMS Contrato. Localización GPS del firmante",
        _ => "Desconocido",
    }
}
