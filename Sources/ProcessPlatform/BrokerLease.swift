/// Keeps the connection to the broker open: held by the platform and by everything it made, so that ports and arenas do
/// not vanish with the platform object while they are in use.
final class BrokerLease: Sendable {
  let link: BrokerLink

  init(link: BrokerLink) { self.link = link }

  deinit { link.shutDown() }
}
