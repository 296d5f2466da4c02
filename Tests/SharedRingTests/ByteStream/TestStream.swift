import SharedMemory
import SharedRing

/// One direction of a byte stream in memory of this process.
struct TestStream {
  let indices: SharedBytes
  let data: SharedBytes
  let layout: ByteStreamLayout
  let place: ByteStreamPlace

  /// Both indices begin at `start`.
  init(_ layout: ByteStreamLayout = .console, start: UInt32 = 0) throws {
    self.layout = layout
    indices = try SharedRegion(anonymousByteCount: 4096).bytes
    data = layout.dataOffset + layout.byteCount <= 4096 && layout != .apart ? indices : try SharedRegion(anonymousByteCount: 1 << 16).bytes
    place = ByteStreamPlace(layout, indices: indices, data: data)
    indices.store32(start, at: layout.producerOffset)
    indices.store32(start, at: layout.consumerOffset)
  }

  var producer: ByteStreamProducer { ByteStreamProducer(place) }
  var consumer: ByteStreamConsumer { ByteStreamConsumer(place) }
}

extension ByteStreamLayout {
  /// As the output of a console: indices behind the bytes.
  static let console = ByteStreamLayout(producerOffset: 3084, consumerOffset: 3080, dataOffset: 1024, byteCount: 2048)
  /// As vchan's: indices at the start, bytes in pages of their own.
  static let apart = ByteStreamLayout(producerOffset: 4, consumerOffset: 0, dataOffset: 0, byteCount: 1 << 14)
  /// The smallest that there can be.
  static let tiny = ByteStreamLayout(producerOffset: 64, consumerOffset: 68, dataOffset: 128, byteCount: 1)

  static let samples = [console, apart, tiny]
}
