//! Reason codes of MQTT 5 as numbers and text; the codec has types of its own for them.

use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v5::{ConnectReturnCode, SubscribeReasonCode};

use crate::foreign::Foreign;
use crate::mqtt::packet::WireError;

/// MQTT 5, 3.2.2.2.
pub(super) fn connect_code(code: ConnectReturnCode) -> u8 {
    use ConnectReturnCode as C;
    match code {
        C::Success => 0x00,
        C::MalformedPacket => 0x81,
        C::ProtocolError => 0x82,
        C::ImplementationSpecificError => 0x83,
        C::UnsupportedProtocolVersion | C::RefusedProtocolVersion => 0x84,
        C::ClientIdentifierNotValid | C::BadClientId => 0x85,
        C::BadUserNamePassword => 0x86,
        C::NotAuthorized => 0x87,
        C::ServerUnavailable | C::ServiceUnavailable => 0x88,
        C::ServerBusy => 0x89,
        C::Banned => 0x8a,
        C::BadAuthenticationMethod => 0x8c,
        C::TopicNameInvalid => 0x90,
        C::PacketTooLarge => 0x95,
        C::QuotaExceeded => 0x97,
        C::PayloadFormatInvalid => 0x99,
        C::RetainNotSupported => 0x9a,
        C::QoSNotSupported => 0x9b,
        C::UseAnotherServer => 0x9c,
        C::ServerMoved => 0x9d,
        C::ConnectionRateExceeded => 0x9f,
        C::UnspecifiedError => 0x80,
    }
}

/// MQTT 5, 3.9.3.
pub(super) fn subscribe_code(code: SubscribeReasonCode) -> u8 {
    use SubscribeReasonCode as S;
    match code {
        S::Success(qos) => qos as u8,
        S::Failure | S::Unspecified => 0x80,
        S::ImplementationSpecific => 0x83,
        S::NotAuthorized => 0x87,
        S::TopicFilterInvalid => 0x8f,
        S::PkidInUse => 0x91,
        S::QuotaExceeded => 0x97,
        S::SharedSubscriptionsNotSupported => 0x9e,
        S::SubscriptionIdNotSupported => 0xa1,
        S::WildcardSubscriptionsNotSupported => 0xa2,
    }
}

/// The name of a reason, as in `not authorized: no such user`.
pub(super) fn words(name: &dyn std::fmt::Debug, said: Option<String>) -> Foreign {
    let mut text = String::new();
    for (index, letter) in format!("{name:?}").chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    Foreign::behind(&text, said.as_deref().unwrap_or_default())
}

pub(super) fn wire_error(error: &Error) -> WireError {
    let code = match error {
        Error::PayloadSizeLimitExceeded { .. } => 0x95,
        Error::ProtocolViolation(reason) => *reason as u8,
        Error::ProtocolError | Error::EmptySubscription | Error::PacketIdZero => 0x82,
        _ => 0x81,
    };
    WireError::new(code, format!("packet from the broker: {error}"))
}
