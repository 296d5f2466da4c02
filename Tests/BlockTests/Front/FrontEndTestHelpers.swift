import BlockFront
import BlockTestSupport
import EventLoop
import Testing


func configuration(_ shape: BlockFrontConnection.Shape) -> BlockFrontConfiguration {
  var configuration = BlockFrontConfiguration()
  configuration.maximumSegmentCount = max(11, shape.maximumIndirectSegments)
  return configuration
}

/// Ends a device and checks that nothing is left of it.
func end(_ pair: DevicePair, _ backend: LoopConfined<MemoryBackend>) async {
  await pair.kill(backend)
  #expect(await pair.disconnect() == 0, "no page is still mapped")
  await pair.close()
  let ledger = pair.hypervisor.ledger
  #expect(ledger.arenas == 0)
}
