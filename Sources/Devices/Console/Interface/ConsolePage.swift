public import SharedMemory
public import SharedRing
import XenInterface

/// The page of a console (`struct xencons_interface`, xen/include/public/io/console.h). Its names are the guest's: `in` is what the
/// guest reads.
public struct ConsolePage: Sendable {
  private let page: SharedBytes

  /// Traps when `page` is smaller than a console's interface.
  public init(_ page: SharedBytes) {
    precondition(page.byteCount >= pageByteCount, "a console's interface is one page")
    self.page = page
  }

  /// The guest's end, of a page that is new: both rings are empty.
  public func initializedFront() -> ByteStreamPair {
    input.initialize()
    output.initialize()
    return ByteStreamPair(consumer: ByteStreamConsumer(input), producer: ByteStreamProducer(output))
  }

  /// The console's end. It goes on where the page says that the last one was.
  public var back: ByteStreamPair { ByteStreamPair(consumer: ByteStreamConsumer(output), producer: ByteStreamProducer(input)) }

  private var input: ByteStreamPlace { ByteStreamPlace(Self.inputLayout, indices: page, data: page) }
  private var output: ByteStreamPlace { ByteStreamPlace(Self.outputLayout, indices: page, data: page) }

  private static let inputLayout = ByteStreamLayout(
    producerOffset: ConsoleInterfaceLayout.inputProducerOffset, consumerOffset: ConsoleInterfaceLayout.inputConsumerOffset,
    dataOffset: ConsoleInterfaceLayout.inputOffset, byteCount: ConsoleLimits.inputByteCount)
  private static let outputLayout = ByteStreamLayout(
    producerOffset: ConsoleInterfaceLayout.outputProducerOffset, consumerOffset: ConsoleInterfaceLayout.outputConsumerOffset,
    dataOffset: ConsoleInterfaceLayout.outputOffset, byteCount: ConsoleLimits.outputByteCount)
}
