import NetInterface
import NetPackets
import XenInterface

// Slots as a peer could write them, right or wrong.

func request(
  _ byteCount: Int, offset: Int = 0, flags: NetifTransmitFlags = [], identifier: Int = 0, grant: UInt32 = 8
) -> NetifTransmitRequest {
  var request = NetifTransmitRequest()
  request.grantReference = GrantReference(rawValue: grant)
  request.offset = UInt16(offset)
  request.flags = flags.rawValue
  request.identifier = UInt16(identifier)
  request.byteCount = UInt16(byteCount)
  return request
}

func response(
  _ status: Int, offset: Int = 0, flags: NetifReceiveFlags = [], identifier: Int = 0
) -> NetifReceiveResponse {
  var response = NetifReceiveResponse()
  response.identifier = UInt16(identifier)
  response.offset = UInt16(offset)
  response.flags = flags.rawValue
  response.status = Int16(status)
  return response
}

func segmentationExtra(size: UInt16 = 1448, type: UInt8 = NetifSegmentationType.tcpv4.rawValue, more: Bool = false) -> NetifExtraInfo {
  var extra = NetifExtraSegmentation()
  extra.type = NetifExtraType.segmentation.rawValue
  extra.flags = more ? 1 : 0
  extra.segmentByteCount = size
  extra.segmentationType = type
  return NetifExtraInfo(extra)
}

func hashExtra(type: UInt8 = 1, algorithm: UInt8 = 1, value: UInt32 = 0x1234_5678, more: Bool = false) -> NetifExtraInfo {
  var extra = NetifExtraHash()
  extra.type = NetifExtraType.hash.rawValue
  extra.flags = more ? 1 : 0
  extra.hashType = type
  extra.algorithm = algorithm
  extra.value = value
  return NetifExtraInfo(extra)
}

func multicastExtra(_ type: NetifExtraType, _ address: UInt64 = 0x3333_0000_0001, more: Bool = false) -> NetifExtraInfo {
  var extra = NetifExtraMulticast()
  extra.type = type.rawValue
  extra.flags = more ? 1 : 0
  for index in 0..<6 { extra.setAddressByte(UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * index)), at: index) }
  return NetifExtraInfo(extra)
}

func headroomExtra(_ byteCount: UInt16, more: Bool = false) -> NetifExtraInfo {
  var extra = NetifExtraHeadroom()
  extra.type = NetifExtraType.headroom.rawValue
  extra.flags = more ? 1 : 0
  extra.byteCount = byteCount
  return NetifExtraInfo(extra)
}

func otherExtra(type: UInt8, more: Bool = false) -> NetifExtraInfo {
  var extra = NetifExtraInfo()
  extra.type = type
  extra.flags = more ? 1 : 0
  for index in 0..<3 { extra.setData(0xffff, at: index) }
  return extra
}

/// The extra infos as one run, `more` set as it must be.
func extraSlots(_ extras: [NetifExtraInfo]) -> [NetifTransmitRequest] {
  extras.enumerated().map { index, extra in
    var extra = extra
    extra.flags = index + 1 < extras.count ? NetifExtraFlags.more.rawValue : 0
    return NetifTransmitRequest(extra)
  }
}

/// A chain for a frame of `total` bytes with these fragments, flags set as they must be; identifiers count from `identifier`.
func chain(total: Int, fragments: [Int] = [], extras: [NetifExtraInfo] = [], identifier: Int = 0) -> [NetifTransmitRequest] {
  var flags: NetifTransmitFlags = fragments.isEmpty ? [] : .moreData
  if !extras.isEmpty { flags.insert(.extraInfo) }
  return [request(total, flags: flags, identifier: identifier)] + extraSlots(extras)
    + fragments.enumerated().map { index, size in
      request(size, flags: index + 1 < fragments.count ? .moreData : [], identifier: identifier + index + 1, grant: UInt32(100 + index))
    }
}
